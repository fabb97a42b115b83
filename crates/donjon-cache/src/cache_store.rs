use donjon_store::Store;

/// A [`Store`] that calls and tasks on any thread can share: every store is one whose types are `Send`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no store that a cache can use for keys `{K}` and values `{V}`",
    note = "it has to be a `Store<{K}, {V}>` and `Send + Sync + 'static`, its futures and its error `Send`",
    note = "`MemoryStore` needs keys that are `Eq + Hash`, and values that are `Clone`"
)]
pub trait CacheStore<K, V>:
    Store<K, V, Lookup: Send, Fill: Send, Remove: Send + 'static, Error: Send + 'static> + Send + Sync + 'static
{
}

impl<K, V, St> CacheStore<K, V> for St where
    St: Store<K, V, Lookup: Send, Fill: Send, Remove: Send + 'static, Error: Send + 'static> + Send + Sync + 'static
{
}
