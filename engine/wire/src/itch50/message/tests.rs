use proptest::prelude::*;

use super::*;

/// One real Add Order in the document's layout, byte by byte.
const ADD: &[u8] = b"A\x00\x0d\x00\x02\x0a\x37\xb4\x2c\x11\xc9\x00\x00\x00\x00\x00\x00\x04\xd2B\x00\x00\x00\x64AAPL    \x00\x30\xf2\x78";

#[test]
fn add_order_is_viewed_field_by_field() {
    let add = AddOrder::parse(ADD).unwrap();
    assert_eq!(add.stock_locate.get(), 13);
    assert_eq!(add.tracking_number.get(), 2);
    assert_eq!(add.timestamp_ns(), 0x0a37_b42c_11c9);
    assert_eq!(add.order_reference.get(), 1_234);
    assert_eq!(add.side, b'B');
    assert_eq!(add.shares.get(), 100);
    assert_eq!(&add.stock, b"AAPL    ");
    assert_eq!(add.price.get(), 3_207_800);
    assert_eq!(Message::parse(ADD), Ok(Message::AddOrder(add)));
}

#[test]
fn parse_errors_say_what_is_wrong() {
    let table: &[(&str, &[u8], DecodeError)] = &[
        ("empty", b"", DecodeError::Truncated { need: 1, have: 0 }),
        ("type only", b"A", DecodeError::Truncated { need: 36, have: 1 }),
        ("one byte short", &ADD[..35], DecodeError::Truncated { need: 36, have: 35 }),
        ("unknown type", b"z", DecodeError::UnknownType { got: b'z' }),
        ("zero type", &[0; 60], DecodeError::UnknownType { got: 0 }),
    ];
    for (name, bytes, want) in table {
        assert_eq!(Message::parse(bytes), Err(*want), "case: {name}");
    }
    assert_eq!(AddOrderMpid::parse(&[ADD, b"NSDQ"].concat()), Err(DecodeError::Type { want: b'F', got: b'A' }));
}

/// Lengths as the protocol document's table lists them, type by type.
const DOCUMENT: [(u8, usize); 23] = [
    (b'S', 12),
    (b'R', 39),
    (b'H', 25),
    (b'Y', 20),
    (b'L', 26),
    (b'V', 35),
    (b'W', 12),
    (b'K', 28),
    (b'J', 35),
    (b'h', 21),
    (b'A', 36),
    (b'F', 40),
    (b'E', 31),
    (b'C', 36),
    (b'X', 23),
    (b'D', 19),
    (b'U', 35),
    (b'P', 44),
    (b'Q', 40),
    (b'B', 19),
    (b'I', 50),
    (b'N', 20),
    (b'O', 48),
];

#[test]
fn the_type_alone_decides_the_length() {
    assert_eq!(TYPES, DOCUMENT);
    for letter in 0..=u8::MAX {
        let want = DOCUMENT.iter().find(|(known, _)| *known == letter).map(|(_, len)| *len);
        assert_eq!(message_len(letter), want);
    }
}

/// Reads `len` bytes at `at` of a message of type `letter` whose bytes count 1, 2, 3 behind the type.
fn counted(letter: u8, len: usize) -> Vec<u8> {
    std::iter::once(letter).chain(1..len as u8).collect()
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// The offsets of the document, held against the views: every byte of the message counts up, so a field that is shifted
/// by one shows another number.
#[test]
fn every_field_lies_where_the_document_says() {
    macro_rules! offsets {
        ($name:ident $($field:ident $at:literal $len:literal),*) => {{
            let bytes = counted($name::TYPE, $name::LEN);
            let view = $name::parse(&bytes).unwrap();
            let mut end = 11;
            $(
                assert_eq!($at, end, "{}.{} follows", stringify!($name), stringify!($field));
                assert_eq!(number(IntoBytes::as_bytes(&view.$field)), number(&bytes[$at..$at + $len]), stringify!($field));
                assert_eq!(size_of_val(&view.$field), $len, stringify!($field));
                end = $at + $len;
            )*
            assert_eq!(end, $name::LEN);
            assert_eq!(view.stock_locate.get(), 0x0102);
            assert_eq!(view.tracking_number.get(), 0x0304);
            assert_eq!(view.timestamp_ns(), 0x0506_0708_090a);
        }};
    }
    offsets!(SystemEvent event_code 11 1);
    offsets!(StockDirectory stock 11 8, market_category 19 1, financial_status 20 1, round_lot_size 21 4,
        round_lots_only 25 1, issue_classification 26 1, issue_sub_type 27 2, authenticity 29 1,
        short_sale_threshold 30 1, ipo_flag 31 1, luld_tier 32 1, etp_flag 33 1, etp_leverage 34 4, inverse 38 1);
    offsets!(TradingAction stock 11 8, state 19 1, reserved 20 1, reason 21 4);
    offsets!(RegSho stock 11 8, action 19 1);
    offsets!(MarketParticipantPosition mpid 11 4, stock 15 8, primary_market_maker 23 1, market_maker_mode 24 1,
        participant_state 25 1);
    offsets!(MwcbDecline level_1 11 8, level_2 19 8, level_3 27 8);
    offsets!(MwcbStatus breached_level 11 1);
    offsets!(QuotingPeriod stock 11 8, release_time 19 4, qualifier 23 1, ipo_price 24 4);
    offsets!(LuldCollar stock 11 8, reference_price 19 4, upper_price 23 4, lower_price 27 4, extension 31 4);
    offsets!(OperationalHalt stock 11 8, market_code 19 1, action 20 1);
    offsets!(AddOrder order_reference 11 8, side 19 1, shares 20 4, stock 24 8, price 32 4);
    offsets!(AddOrderMpid order_reference 11 8, side 19 1, shares 20 4, stock 24 8, price 32 4, attribution 36 4);
    offsets!(OrderExecuted order_reference 11 8, executed_shares 19 4, match_number 23 8);
    offsets!(OrderExecutedPrice order_reference 11 8, executed_shares 19 4, match_number 23 8, printable 31 1,
        execution_price 32 4);
    offsets!(OrderCancel order_reference 11 8, cancelled_shares 19 4);
    offsets!(OrderDelete order_reference 11 8);
    offsets!(OrderReplace original_order_reference 11 8, new_order_reference 19 8, shares 27 4, price 31 4);
    offsets!(Trade order_reference 11 8, side 19 1, shares 20 4, stock 24 8, price 32 4, match_number 36 8);
    offsets!(CrossTrade shares 11 8, stock 19 8, cross_price 27 4, match_number 31 8, cross_type 39 1);
    offsets!(BrokenTrade match_number 11 8);
    offsets!(Noii paired_shares 11 8, imbalance_shares 19 8, imbalance_direction 27 1, stock 28 8, far_price 36 4,
        near_price 40 4, reference_price 44 4, cross_type 48 1, price_variation 49 1);
    offsets!(Rpii stock 11 8, interest_flag 19 1);
    offsets!(DirectListing stock 11 8, open_eligibility 19 1, minimum_price 20 4, maximum_price 24 4, near_price 28 4,
        near_time 32 8, lower_collar 40 4, upper_collar 44 4);
}

#[test]
fn a_new_message_has_its_head_and_nothing_else() {
    let delete = OrderDelete { order_reference: U64::new(7), ..OrderDelete::new(13, 0x0a37_b42c_11c9) };
    let want = b"D\x00\x0d\x00\x00\x0a\x37\xb4\x2c\x11\xc9\x00\x00\x00\x00\x00\x00\x00\x07";
    assert_eq!(IntoBytes::as_bytes(&delete), want);
    assert_eq!(OrderDelete::new(0, u64::MAX).timestamp_ns(), TIMESTAMP_MAX_NS);
}

proptest! {
    #[test]
    fn a_view_gives_its_bytes_back(kind in 0..DOCUMENT.len(), mut bytes in prop::collection::vec(any::<u8>(), 50..70)) {
        let (letter, len) = DOCUMENT[kind];
        bytes[0] = letter;
        let message = Message::parse(&bytes).unwrap();
        prop_assert_eq!(message.as_bytes(), &bytes[..len]);
        prop_assert_eq!(message.message_type(), letter);
        prop_assert_eq!(message.stock_locate(), u16::from_be_bytes([bytes[1], bytes[2]]));
        for short in 0..len {
            let want = if short == 0 { 1 } else { len };
            let error = DecodeError::Truncated { need: want, have: short };
            prop_assert_eq!(Message::parse(&bytes[..short]), Err(error));
        }
    }

    #[test]
    fn timestamps_round_trip(ns in 0..=TIMESTAMP_MAX_NS) {
        prop_assert_eq!(timestamp_ns(timestamp_bytes(ns)), ns);
    }
}
