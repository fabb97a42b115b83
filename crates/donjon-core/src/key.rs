/// Says which state a request belongs to: a host, a tenant, a user, a resource.
///
/// Any closure `Fn(&Req) -> Option<K>` is one. `None` says that the request has no key; each layer that takes a key
/// states what it does then.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot extract a key from a request `{Req}`",
    label = "not a key extractor for this request type",
    note = "a key extractor is a closure `Fn(&Req) -> Option<K>` with its argument type written out"
)]
pub trait Key<Req> {
    /// The key.
    type Key;

    /// The key of this request, if it has one.
    fn key(&self, req: &Req) -> Option<Self::Key>;
}

impl<F, Req, K> Key<Req> for F
where
    F: Fn(&Req) -> Option<K>,
{
    type Key = K;

    fn key(&self, req: &Req) -> Option<K> {
        self(req)
    }
}
