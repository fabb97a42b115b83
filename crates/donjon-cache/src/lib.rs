//! Answer without calling: a response cache for any tower service.
//!
//! [`CacheLayer::new`] caches the responses of any service by a key; `CacheLayer::http` caches those of HTTP by a strict
//! rule, bodies included.
//!
//! - **A hit touches nothing of the inner service**: it is not readied, not cloned, not called. The layer is always
//!   ready.
//! - **Misses of one key are one call** ([`donjon_coalesce`]): whoever leaves, the call goes on, and its answer is kept.
//! - **Time**: a TTL for all or by the answer ([`CacheLayer::keep`]), with [jitter](CacheLayer::jitter); a TTL of its own
//!   for [negative](CacheLayer::negative_ttl) answers.
//! - **Stale answers**: [at once](CacheLayer::stale_while_revalidate), while a task brings the next one; or
//!   [when the call fails](CacheLayer::stale_if_error). Off unless asked for.
//! - **Refresh ahead** ([`CacheLayer::refresh_ahead`]): whoever first finds that less than 1.5 times the measured cost of
//!   the call is left lets a task bring the next value, so that nobody ever waits for one that is much asked for.
//! - **Removal** by key, by tag and of everything, through the [`Handle`].
//!
//! Where values live is up to a [`Store`](donjon_store::Store): [`MemoryStore`](donjon_store::MemoryStore) unless said.
//! It is no HTTP cache in the sense of RFC 9111: it never validates, and takes no advice to keep what it would not.
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//! use donjon_cache::CacheLayer;
//! use donjon_core::Rejection;
//! use tower::{Layer, ServiceExt, service_fn};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
//! let cache = CacheLayer::new(|n: &u64| Some(*n)).ttl(Duration::from_secs(60));
//! let service = cache.layer(service_fn(|n: u64| async move {
//!     tokio::time::sleep(Duration::from_millis(10)).await;
//!     Ok::<_, Rejection>(2 * n)
//! }));
//!
//! assert_eq!(service.clone().oneshot(21).await.unwrap(), 42);
//! assert_eq!(service.clone().oneshot(21).await.unwrap(), 42, "from the cache");
//! assert_eq!(cache.handle().stats().hits, 1);
//!
//! cache.handle().invalidate(&21);
//! assert_eq!(service.clone().oneshot(21).await.unwrap(), 42);
//! assert_eq!(cache.handle().stats().misses, 2);
//! # });
//! ```
//!
//! # Sharing
//!
//! The store, the calls in flight, the refreshes, the settings that are durations or numbers, and the figures live in the
//! layer value: clones of the layer, the services that it makes, and their clones share them. **A layer over two
//! upstreams** wants [`fresh`](donjon_core::Fresh::fresh) for one of them, or the authority in its key.
//!
//! **The key is the whole of the rule**: callers with equal keys get one answer. What the answer depends on has to be in
//! the key, and what is one user's has to be told apart by it, or to have no key (`None`: it goes through alone).
//!
//! # Cancellation
//!
//! A miss does nothing before its first poll. Dropped, it leaves the call to those who wait with it, and ends it if it was
//! the last. Refreshes are tasks of their own: they have no caller's deadline, and are aborted when the layer, all of its
//! services and their calls are gone, or when they take too long ([`CacheLayer::refresh_timeout`]). A key whose refresh has
//! failed is left alone for a while ([`CacheLayer::refresh_pause`]). **Give the inner service a time limit of its own**: a
//! call that never ends is one that whoever misses its key waits for, up to his own deadline.
//!
//! # Feature flags
//!
//! - `http` (on): `CacheLayer::http`.

mod cache_store;
mod changes;
mod claim;
mod control;
mod core;
mod fetch;
mod flown;
mod form;
pub mod future;
mod handle;
#[cfg(feature = "http")]
pub mod http;
mod keep;
mod layer;
mod miss;
mod observe;
mod refresh;
mod registry;
mod service;
mod stats;
mod types;

pub use self::{
    cache_store::CacheStore,
    form::{Captured, Form, Limits, Values, Verdict},
    handle::Handle,
    keep::{ByTtl, Keep, Retention},
    layer::CacheLayer,
    service::Cache,
    stats::Stats,
};

/// The name of this layer in rejections.
pub(crate) const LAYER: &str = "cache";
