/// What an entry weighs: bytes, rows, or whatever the capacity is counted in.
///
/// Any closure `Fn(&K, &V) -> u64` is one. It is asked once for an entry, before any lock is taken.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot weigh a value `{V}` under a key `{K}`",
    label = "not a way to weigh these entries",
    note = "a weigher is a closure `Fn(&K, &V) -> u64` with its argument types written out"
)]
pub trait Weigh<K, V> {
    /// The weight of this entry, without the overhead that the store adds for each.
    fn weigh(&self, key: &K, value: &V) -> u64;
}

impl<F, K, V> Weigh<K, V> for F
where
    F: Fn(&K, &V) -> u64,
{
    fn weigh(&self, key: &K, value: &V) -> u64 {
        self(key, value)
    }
}
