use super::*;

#[test]
fn arithmetic_saturates() {
    assert_eq!(Nanos(1).saturating_add(2), Nanos(3));
    assert_eq!(Nanos(u64::MAX).saturating_add(1), Nanos(u64::MAX));
    assert_eq!(Nanos(5).since(Nanos(2)), 3);
    assert_eq!(Nanos(2).since(Nanos(5)), 0);
}
