//! Where cached values live: a store trait, an in-memory store bounded by weight, and codecs.
//!
//! - [`Store`]: what a cache asks of a store. One in the process answers at once, one on another machine later
//!   ([`Answer`]); lookups give tokens for fills ([`FillToken`]), so that a value which a removal has overtaken is not kept.
//! - [`MemoryStore`]: bounded by number or by weight, with lifetimes, tags and figures.
//! - [`Entry`], [`Found`], [`Lifetime`]: a value with its times. The store has no clock: `now` is passed in.
//! - [`Codec`]: values as bytes, for stores that need them.
//!
//! What a cache decides (which request has which key, what may be kept, for how long, who refreshes it) is not here:
//! that is the work of a cache layer. Nor is single-flight.
//!
//! # Example
//!
//! ```
//! use std::{sync::Arc, time::Duration};
//! use donjon_store::{Entry, Lookup, MemoryStore};
//! use tokio::time::Instant;
//!
//! let store: MemoryStore<String, Arc<str>> = MemoryStore::new(1_000);
//! let now = Instant::now();
//!
//! // Nothing yet: the lookup gives the right to bring a value.
//! let Lookup::Miss(token) = store.get("/users/42", now) else { panic!("it is empty") };
//! let entry = Entry::new("Ada".into(), now)
//!     .fresh_for(Duration::from_secs(60))
//!     .stale_for(Duration::from_secs(600))
//!     .tag("users");
//! assert!(store.fill("/users/42".into(), entry.clone(), token).is_kept());
//!
//! // A minute later it is stale, and may still be served while somebody brings the next one.
//! let Lookup::Stale(found, token) = store.get("/users/42", now + Duration::from_secs(60)) else { panic!("it is stale") };
//! assert_eq!(&**found.value(), "Ada");
//!
//! // The users change: whatever is tagged so is gone, and what is being made from the old ones is not kept.
//! store.remove_tag("users");
//! assert!(!store.fill("/users/42".into(), entry, token).is_kept());
//! assert!(store.get("/users/42", now).found().is_none());
//! ```
//!
//! # Sharing
//!
//! Clones of a [`MemoryStore`] are the same store. [`Fresh::fresh`](donjon_core::Fresh::fresh) makes an empty one with
//! the same settings.
//!
//! # Cancellation
//!
//! [`MemoryStore`] never waits: there is nothing to cancel. Whoever holds a [`FillToken`] of any store and gives up calls
//! [`Store::abandon`].
//!
//! # Feature flags
//!
//! - `json` (off): `JsonCodec`, values as JSON.

mod builder;
mod codec;
mod entry;
mod generations;
#[cfg(feature = "json")]
mod json;
mod lifetime;
mod memory;
mod observe;
mod shards;
mod slot;
mod stats;
mod store;
mod sync;
mod weigh;

#[cfg(feature = "json")]
pub use self::json::JsonCodec;
pub use donjon_core::{Answer, AnswerFuture, Never};

pub use self::{
    builder::MemoryStoreBuilder,
    codec::{BytesCodec, Codec, CodecError, CodecOperation, StringCodec},
    entry::{Entry, Found},
    lifetime::{Freshness, Lifetime},
    memory::MemoryStore,
    stats::Stats,
    store::{FillToken, Lookup, Store, Stored},
    weigh::Weigh,
};
