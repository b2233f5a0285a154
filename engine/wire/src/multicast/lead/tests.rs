use super::*;

#[test]
fn buckets_tile_the_numbers() {
    let mut end = 0;
    for index in 0..BUCKETS {
        let (start, next) = (bucket_start(index), bucket_start(index + 1));
        assert_eq!(start, end, "bucket {index}");
        assert_eq!((bucket(start), bucket(next - 1)), (index, index));
        end = next;
    }
    assert_eq!(bucket(u64::MAX), BUCKETS - 1);
}

#[test]
fn a_median_is_an_eighth_off_at_most() {
    assert_eq!(Leads::new().median_ns(), None);
    for value in [0, 1, 3, 4, 7, 100, 1_023, 1_024, 123_456_789, u64::MAX / 3] {
        let mut leads = Leads::new();
        leads.record(0);
        leads.record(value);
        leads.record(u64::MAX);
        let median = leads.median_ns().unwrap();
        assert!(median.abs_diff(value) <= value / 8, "{median} for {value}");
    }
}

#[test]
fn a_packet_gives_one_sample() {
    let mut firsts = Firsts::new();
    assert_eq!(firsts.note(LineId::A, 7, Nanos(100), true), None);
    assert_eq!(firsts.note(LineId::A, 7, Nanos(105), false), None, "a copy on the same line");
    assert_eq!(firsts.note(LineId::B, 8, Nanos(110), false), None, "another cut");
    assert_eq!(firsts.note(LineId::B, 7, Nanos(130), false), Some((LineId::A, 30)));
    assert_eq!(firsts.note(LineId::B, 7, Nanos(140), false), None);
    firsts.note(LineId::B, 9, Nanos(200), true);
    firsts.clear();
    assert_eq!(firsts.note(LineId::A, 9, Nanos(210), false), None);
}
