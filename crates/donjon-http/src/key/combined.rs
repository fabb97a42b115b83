use std::{any::type_name, fmt, marker::PhantomData};

use donjon_core::Key;
use http::Request;

/// The extractor of [`either`].
#[derive(Clone, Copy, Debug)]
pub struct EitherOf<A, B> {
    first: A,
    second: B,
}

/// The extractor of [`both`].
#[derive(Clone, Copy, Debug)]
pub struct BothOf<A, B> {
    first: A,
    second: B,
}

/// The extractor of [`extension`].
pub struct Extension<T> {
    of: PhantomData<fn() -> T>,
}

/// A key of one kind or of another. Keys of different kinds are never equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Either<A, B> {
    /// The key of the first extractor.
    First(A),
    /// The key of the second, where the first had none.
    Second(B),
}

/// The key of `first`, or else that of `second`: an API key, or else the address of the client.
///
/// ```
/// use donjon_core::Key;
/// use donjon_http::key::{self, Either};
///
/// let who = key::either(key::api_key().hashed(), key::client_ip());
/// let request = http::Request::get("/").header("x-api-key", "s3cret").body(())?;
/// assert!(matches!(who.key(&request), Some(Either::First(_))));
/// # Ok::<(), http::Error>(())
/// ```
///
/// Whoever may choose the first one may choose any number of keys: an API key that nobody has checked is as good as no
/// limit. Put authentication outside.
#[must_use]
pub const fn either<A, B>(first: A, second: B) -> EitherOf<A, B> {
    EitherOf { first, second }
}

/// The keys of both: a user's calls of one path. There is none if one of them is missing.
#[must_use]
pub const fn both<A, B>(first: A, second: B) -> BothOf<A, B> {
    BothOf { first, second }
}

/// A value of this type in the extensions of the request, where a layer or a framework outside has put it: a tenant, a
/// user who has been authenticated. Cloning it should be cheap.
///
/// ```
/// use donjon_core::Key;
/// use donjon_http::key;
///
/// #[derive(Clone, Debug, PartialEq, Eq, Hash)]
/// struct Tenant(u32);
///
/// let mut request = http::Request::new(());
/// request.extensions_mut().insert(Tenant(7));
/// assert_eq!(key::extension::<Tenant>().key(&request), Some(Tenant(7)));
/// ```
#[must_use]
pub const fn extension<T>() -> Extension<T> {
    Extension { of: PhantomData }
}

// ===== impl EitherOf =====

impl<A, B, R> Key<R> for EitherOf<A, B>
where
    A: Key<R>,
    B: Key<R>,
{
    type Key = Either<A::Key, B::Key>;

    fn key(&self, req: &R) -> Option<Self::Key> {
        let second = || self.second.key(req).map(Either::Second);
        self.first.key(req).map(Either::First).or_else(second)
    }
}

// ===== impl BothOf =====

impl<A, B, R> Key<R> for BothOf<A, B>
where
    A: Key<R>,
    B: Key<R>,
{
    type Key = (A::Key, B::Key);

    fn key(&self, req: &R) -> Option<Self::Key> {
        Some((self.first.key(req)?, self.second.key(req)?))
    }
}

// ===== impl Extension =====

impl<T: Clone + Send + Sync + 'static, B> Key<Request<B>> for Extension<T> {
    type Key = T;

    fn key(&self, req: &Request<B>) -> Option<T> {
        req.extensions().get().cloned()
    }
}

impl<T> Clone for Extension<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Extension<T> {}

impl<T> fmt::Debug for Extension<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Extension({})", type_name::<T>())
    }
}
