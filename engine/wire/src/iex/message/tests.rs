use proptest::prelude::*;

use super::*;

/// The document's own example of a quote, byte by byte.
const QUOTE: &[u8] = b"Q\x00\xac\x63\xc0\x20\x96\x86\x6d\x14ZIEXT   \xe4\x25\x00\x00\x24\x1d\x0f\x00\x00\x00\x00\x00\
    \xec\x1d\x0f\x00\x00\x00\x00\x00\xe8\x03\x00\x00";

#[test]
fn a_quote_is_viewed_field_by_field() {
    let quote = QuoteUpdate::parse(QUOTE).unwrap();
    assert_eq!((quote.flags, &quote.symbol), (0, b"ZIEXT   "));
    assert_eq!(quote.timestamp.get(), 0x146d_8696_20c0_63ac);
    assert_eq!((quote.bid_size.get(), quote.bid_price.get()), (9_700, 990_500));
    assert_eq!((quote.ask_size.get(), quote.ask_price.get()), (1_000, 990_700));
    let message = Message::parse(QUOTE, Protocol::Tops).unwrap();
    assert_eq!(message, Message::QuoteUpdate(quote));
    assert_eq!(message.symbol(), Some(b"ZIEXT   "));
}

#[test]
fn parse_errors_say_what_is_wrong() {
    let table: &[(&str, &[u8], Protocol, DecodeError)] = &[
        ("empty", b"", Protocol::Tops, DecodeError::Truncated { need: 1, have: 0 }),
        ("type only", b"Q", Protocol::Tops, DecodeError::Truncated { need: 42, have: 1 }),
        ("one byte short", &QUOTE[..41], Protocol::Tops, DecodeError::Truncated { need: 42, have: 41 }),
        ("a quote in DEEP", QUOTE, Protocol::Deep, DecodeError::UnknownType { got: b'Q' }),
        ("a level in TOPS", &[b'8'; 30], Protocol::Tops, DecodeError::UnknownType { got: b'8' }),
        ("unknown type", b"z", Protocol::Deep, DecodeError::UnknownType { got: b'z' }),
    ];
    for (name, bytes, protocol, want) in table {
        assert_eq!(Message::parse(bytes, *protocol), Err(*want), "case: {name}");
    }
    assert_eq!(TradeReport::parse(QUOTE), Err(DecodeError::Type { want: b'T', got: b'Q' }));
}

/// Lengths as the two documents list them, and which of the documents has the type: TOPS, DEEP.
const DOCUMENTS: [(u8, usize, bool, bool); 14] = [
    (b'S', 10, true, true),
    (b'D', 31, true, true),
    (b'H', 22, true, true),
    (b'I', 18, true, true),
    (b'O', 18, true, true),
    (b'P', 19, true, true),
    (b'E', 18, false, true),
    (b'8', 30, false, true),
    (b'5', 30, false, true),
    (b'Q', 42, true, false),
    (b'T', 38, true, true),
    (b'B', 38, true, true),
    (b'X', 26, true, true),
    (b'A', 80, true, true),
];

#[test]
fn type_and_protocol_decide_the_length() {
    assert!(TYPES.iter().copied().eq(DOCUMENTS.map(|(letter, len, ..)| (letter, len))));
    for letter in 0..=u8::MAX {
        let row = DOCUMENTS.iter().find(|row| row.0 == letter);
        let want = |listed: fn(&(u8, usize, bool, bool)) -> bool| row.filter(|row| listed(row)).map(|row| row.1);
        assert_eq!(message_len(letter, Protocol::Tops), want(|row| row.2));
        assert_eq!(message_len(letter, Protocol::Deep), want(|row| row.3));
    }
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// The offsets of the documents, held against the views: every byte of the message counts up, so a field that is shifted
/// by one shows another number.
#[test]
fn every_field_lies_where_the_documents_say() {
    macro_rules! offsets {
        ($name:ident $code:ident $(, $field:ident $at:literal $len:literal)*) => {{
            let bytes: Vec<u8> = std::iter::once($name::TYPE).chain(1..$name::LEN as u8).collect();
            let view = $name::parse(&bytes).unwrap();
            assert_eq!(view.$code, 1);
            assert_eq!(view.timestamp.get(), 0x0908_0706_0504_0302);
            let end = 10;
            $(
                assert_eq!($at, end, "{}.{} follows", stringify!($name), stringify!($field));
                assert_eq!(number(IntoBytes::as_bytes(&view.$field)), number(&bytes[$at..$at + $len]), stringify!($field));
                let end = $at + $len;
            )*
            assert_eq!(end, $name::LEN);
        }};
    }
    offsets!(SystemEvent event_code);
    offsets!(SecurityDirectory flags, symbol 10 8, round_lot_size 18 4, adjusted_previous_close 22 8, luld_tier 30 1);
    offsets!(TradingStatus trading_status, symbol 10 8, reason 18 4);
    offsets!(RetailLiquidity indicator, symbol 10 8);
    offsets!(OperationalHalt halt_status, symbol 10 8);
    offsets!(ShortSale test_status, symbol 10 8, detail 18 1);
    offsets!(SecurityEvent security_event, symbol 10 8);
    offsets!(PriceLevelBuy event_flags, symbol 10 8, size 18 4, price 22 8);
    offsets!(PriceLevelSell event_flags, symbol 10 8, size 18 4, price 22 8);
    offsets!(QuoteUpdate flags, symbol 10 8, bid_size 18 4, bid_price 22 8, ask_price 30 8, ask_size 38 4);
    offsets!(TradeReport sale_flags, symbol 10 8, size 18 4, price 22 8, trade_id 30 8);
    offsets!(TradeBreak sale_flags, symbol 10 8, size 18 4, price 22 8, trade_id 30 8);
    offsets!(OfficialPrice price_type, symbol 10 8, official_price 18 8);
    offsets!(AuctionInformation auction_type, symbol 10 8, paired_shares 18 4, reference_price 22 8,
        indicative_clearing_price 30 8, imbalance_shares 38 4, imbalance_side 42 1, extension_number 43 1,
        scheduled_time 44 4, book_clearing_price 48 8, collar_reference_price 56 8, lower_collar 64 8,
        upper_collar 72 8);
}

#[test]
fn a_new_message_has_its_head_and_nothing_else() {
    let status = TradingStatus { symbol: *b"AAPL    ", ..TradingStatus::new(b'H', 258) };
    assert_eq!(IntoBytes::as_bytes(&status), b"HH\x02\x01\x00\x00\x00\x00\x00\x00AAPL    \x00\x00\x00\x00");
}

proptest! {
    #[test]
    fn a_view_gives_its_bytes_back(kind in 0..DOCUMENTS.len(), mut bytes in prop::collection::vec(any::<u8>(), 80..99)) {
        let (letter, len, tops, _) = DOCUMENTS[kind];
        let protocol = if tops { Protocol::Tops } else { Protocol::Deep };
        bytes[0] = letter;
        let message = Message::parse(&bytes, protocol).unwrap();
        prop_assert_eq!(message.as_bytes(), &bytes[..len]);
        prop_assert_eq!(message.message_type(), letter);
        let time = message.timestamp_ns().to_le_bytes();
        prop_assert_eq!(time.as_slice(), &bytes[2..10]);
        prop_assert_eq!(message.symbol().map(<[u8; 8]>::as_slice), bytes.get(10..18).filter(|_| letter != b'S'));
        for short in 1..len {
            let error = DecodeError::Truncated { need: len, have: short };
            prop_assert_eq!(Message::parse(&bytes[..short], protocol), Err(error));
        }
    }

    #[test]
    fn any_bytes_are_viewed(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        crate::fuzz_entry::iex_message(&bytes);
    }
}
