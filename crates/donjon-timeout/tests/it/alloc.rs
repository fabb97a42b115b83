//! Counts the allocations of this thread, so that tests beside each other do not disturb the count.

/// How many allocations `f` makes on this thread, growing ones included.
pub(crate) fn count(f: impl FnOnce()) -> u64 {
    allocation_counter::measure(f).count_total
}

#[test]
fn the_counter_counts() {
    assert_eq!(count(|| drop(std::hint::black_box(Box::new(1)))), 1);
}
