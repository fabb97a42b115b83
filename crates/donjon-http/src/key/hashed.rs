use std::{
    fmt,
    hash::{BuildHasher, Hash, Hasher, RandomState},
};

use donjon_core::Key;
use http::Request;

use super::parts::{ApiKey, Header, Path};

/// An extractor whose keys are hashes of what another one takes: [`Path::hashed`], [`Header::hashed`],
/// [`ApiKey::hashed`]. Clones make the same keys of the same requests.
#[derive(Clone)]
pub struct Hashed<X> {
    of: X,
    states: [RandomState; 2],
}

/// A key in place of what it was made of: 128 bits of SipHash, keyed by random numbers of this process.
///
/// It is small whatever the request holds, says nothing of a credential, and allocates nothing. Two of a thousand million
/// keys are the same by chance once in 10²⁰ such collections, and since the numbers are secret nobody makes it happen. It
/// means nothing to another process, nor to another extractor.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyHash(u128);

/// What of a request is hashed.
pub trait Source<R> {
    /// False if there is nothing.
    fn hash_into<H: Hasher>(&self, request: &R, into: &mut H) -> bool;
}

// ===== impl Hashed =====

impl<X> Hashed<X> {
    pub(super) fn new(of: X) -> Self {
        Self { of, states: [RandomState::new(), RandomState::new()] }
    }
}

impl<X, B> Key<Request<B>> for Hashed<X>
where
    X: Source<Request<B>>,
{
    type Key = KeyHash;

    fn key(&self, req: &Request<B>) -> Option<KeyHash> {
        let mut key = 0;
        for state in &self.states {
            let mut hasher = state.build_hasher();
            if !self.of.hash_into(req, &mut hasher) {
                return None;
            }
            key = key << 64 | u128::from(hasher.finish());
        }
        Some(KeyHash(key))
    }
}

impl<X: fmt::Debug> fmt::Debug for Hashed<X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Hashed").field(&self.of).finish()
    }
}

// ===== impl Source =====

impl<B> Source<Request<B>> for Path {
    fn hash_into<H: Hasher>(&self, request: &Request<B>, into: &mut H) -> bool {
        request.uri().path().hash(into);
        true
    }
}

impl<B> Source<Request<B>> for Header {
    fn hash_into<H: Hasher>(&self, request: &Request<B>, into: &mut H) -> bool {
        self.value(request).is_some_and(|value| {
            value.hash(into);
            true
        })
    }
}

impl<B> Source<Request<B>> for ApiKey {
    fn hash_into<H: Hasher>(&self, request: &Request<B>, into: &mut H) -> bool {
        Self::value(request).is_some_and(|value| {
            value.hash(into);
            true
        })
    }
}

// ===== impl KeyHash =====

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyHash({:032x})", self.0)
    }
}
