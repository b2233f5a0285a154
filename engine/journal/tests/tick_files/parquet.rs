//! Parquet: every column, as arrow reads it back, and row groups of bounded size.

use std::fs::File;
use std::path::Path;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray as _;
use arrow_array::types::{Int32Type, Int64Type, TimestampNanosecondType, UInt8Type, UInt32Type, UInt64Type};
use journal::export::{Counts, ExportOptions, Format, Schema};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use shm_abi::record::{PRICE_NONE, QUANTITY_NONE, flag, kind, side, trade_code};

use crate::common::{NOON, Words, export, head, words};

fn write(path: &Path, schema: Schema, records: &[Words]) -> Counts {
    let options = ExportOptions { row_group_rows: 1000, ..ExportOptions::new(schema, Format::Parquet) };
    export(path, &options, records)
}

/// The file as one batch, and the rows of its row groups.
fn read(path: &Path) -> (RecordBatch, Vec<i64>) {
    let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    let groups = builder.metadata().row_groups().iter().map(|group| group.num_rows()).collect();
    let schema = builder.schema().clone();
    let batches: Vec<RecordBatch> = builder.with_batch_size(1 << 20).build().unwrap().map(Result::unwrap).collect();
    let [batch] = &batches[..] else { panic!("{} batches", batches.len()) };
    assert_eq!(batch.schema().fields(), schema.fields());
    (batch.clone(), groups)
}

fn letters(batch: &RecordBatch, column: &str) -> String {
    let column = batch.column_by_name(column).unwrap().as_string::<i32>();
    column.iter().map(|letter| letter.unwrap_or("-")).collect()
}

fn symbols(batch: &RecordBatch, column: &str) -> Vec<Option<String>> {
    let column = batch.column_by_name(column).unwrap().as_dictionary::<Int32Type>();
    let column = column.downcast_dict::<arrow_array::StringArray>().unwrap();
    column.into_iter().map(|symbol| symbol.map(String::from)).collect()
}

macro_rules! column {
    ($batch:expr, $name:literal, $type:ty) => {
        $batch.column_by_name($name).unwrap().as_primitive::<$type>().iter().collect::<Vec<_>>()
    };
}

#[test]
fn orders_have_every_field_of_the_record() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.parquet");
    let mut strange = head(kind::TRADE, trade_code::CROSS_OPEN, flag::LAST);
    (strange.instrument_id, strange.ts_event) = (99, 0);
    let records = [
        words(head(kind::ADD, side::ASK, 0), &[1, -5_i64 as u64, 1 << 40]),
        words(head(kind::ANOMALY, 0, flag::LAST), &[0; 3]),
        words(head(kind::FILL, side::BID, flag::LAST | flag::NOT_PRINTED), &[2, PRICE_NONE as u64, QUANTITY_NONE]),
        words(strange, &[u64::MAX, 3, 4]),
        words(head(kind::CLEAR, side::NONE, flag::LAST), &[0; 3]),
    ];
    let counts = write(&path, Schema::Orders, &records);
    assert_eq!((counts.rows, counts.left_out(kind::ANOMALY)), (4, 1));
    let (batch, _) = read(&path);
    assert_eq!(column!(batch, "n", UInt64Type), [Some(0), Some(2), Some(3), Some(4)]);
    let noon = Some(NOON as i64);
    assert_eq!(column!(batch, "ts_recv", TimestampNanosecondType), [noon; 4]);
    assert_eq!(column!(batch, "ts_publish", TimestampNanosecondType), [noon.map(|ns| ns + 250); 4]);
    let event = noon.map(|ns| ns - 1000);
    assert_eq!(column!(batch, "ts_event", TimestampNanosecondType), [event, event, None, event]);
    assert_eq!(column!(batch, "instrument_id", UInt32Type), [Some(7), Some(7), Some(99), Some(7)]);
    let seven = Some("SEVEN".to_string());
    assert_eq!(symbols(&batch, "symbol"), [seven.clone(), seven.clone(), None, seven]);
    assert_eq!(letters(&batch, "action"), "AFTR");
    assert_eq!(letters(&batch, "side"), "SB--");
    assert_eq!(letters(&batch, "cross"), "--O-");
    assert_eq!(column!(batch, "order_id", UInt64Type), [Some(1), Some(2), Some(u64::MAX), Some(0)]);
    assert_eq!(column!(batch, "price", Int64Type), [Some(-5), None, Some(3), None]);
    assert_eq!(column!(batch, "quantity", UInt64Type), [Some(1 << 40), None, Some(4), None]);
    // The anomaly had ended the first event.
    assert_eq!(column!(batch, "flags", UInt8Type), [Some(0x80), Some(0x88), Some(0x80), Some(0x80)]);
    assert_eq!(column!(batch, "venue_sequence", UInt32Type), [Some(99); 4]);
    assert_eq!(batch.column_by_name("doubtful").unwrap().as_boolean().true_count(), 0);
}

#[test]
fn trades_and_quotes_have_theirs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("market.parquet");
    let records = [
        words(head(kind::TRADE, side::BID, flag::NOT_PRINTED), &[5, 10, 20]),
        words(head(kind::TRADE_BREAK, side::NONE, flag::LAST), &[5, PRICE_NONE as u64, QUANTITY_NONE]),
        words(head(kind::QUOTE, side::BID, 0), &[10, 20, 3]),
        words(head(kind::QUOTE, side::ASK, flag::LAST), &[11, 21, 4]),
        words(head(kind::CLEAR, side::NONE, flag::LAST), &[0; 3]),
    ];
    write(&path, Schema::Trades, &records);
    let (trades, _) = read(&path);
    assert_eq!((letters(&trades, "action"), letters(&trades, "side")), ("TB".into(), "B-".into()));
    assert_eq!(column!(trades, "match_id", UInt64Type), [Some(5), Some(5)]);
    assert_eq!(column!(trades, "quantity", UInt64Type), [Some(20), None]);
    assert_eq!(column!(trades, "flags", UInt8Type), [Some(8), Some(0x80)], "an uncounted trade says so");

    write(&path, Schema::Quotes, &records);
    let (quotes, _) = read(&path);
    assert_eq!((letters(&quotes, "action"), letters(&quotes, "side")), ("AAR".into(), "BS-".into()));
    assert_eq!(column!(quotes, "bid_price", Int64Type), [Some(10), Some(10), None]);
    assert_eq!(column!(quotes, "ask_price", Int64Type), [None, Some(11), None]);
    assert_eq!(column!(quotes, "bid_orders", UInt64Type), [Some(3), Some(3), Some(0)]);
    assert_eq!(column!(quotes, "ask_quantity", UInt64Type), [Some(0), Some(21), Some(0)]);

    assert_eq!(write(&path, Schema::Definitions, &records).rows, 2);
    let (definitions, _) = read(&path);
    assert_eq!(column!(definitions, "instrument_id", UInt32Type), [Some(7), Some(8)]);
    assert_eq!(column!(definitions, "tick", Int64Type), [Some(10_000_000), None]);
    assert_eq!(letters(&definitions, "kind"), "equityequity");
    assert_eq!(column!(definitions, "underlying_id", UInt32Type), [None, None]);
}

#[test]
fn row_groups_are_bounded_and_nothing_is_lost_between_batches() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("orders.parquet");
    let records: Vec<Words> = (0..40_000).map(|id| words(head(kind::ADD, side::BID, 0x80), &[id, 10, 1])).collect();
    assert_eq!(write(&path, Schema::Orders, &records).rows, 40_000);
    let (batch, groups) = read(&path);
    assert_eq!(groups, [1000; 40]);
    let ids = batch.column_by_name("order_id").unwrap().as_primitive::<UInt64Type>();
    assert!(ids.values().iter().copied().eq(0..40_000));
}
