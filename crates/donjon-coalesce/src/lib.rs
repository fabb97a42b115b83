//! Many waiters, one call: single-flight with promotion, as a primitive and as a tower layer.
//!
//! # Example
//!
//! ```
//! use donjon_coalesce::CoalesceLayer;
//! use donjon_core::Rejection;
//! use tower::{Layer, ServiceExt, service_fn};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
//! let coalesce = CoalesceLayer::new(|n: &u64| Some(*n));
//! let service = coalesce.layer(service_fn(|n: u64| async move {
//!     tokio::time::sleep(std::time::Duration::from_millis(10)).await;
//!     Ok::<_, Rejection>(2 * n)
//! }));
//!
//! let call = |n| service.clone().oneshot(n);
//! let (first, second) = tokio::join!(call(21), call(21));
//! assert_eq!((first.unwrap(), second.unwrap()), (42, 42));
//! assert_eq!(coalesce.handle().stats().started, 1);
//! # });
//! ```

mod call;
mod cause;
mod control;
mod flight;
mod flights;
pub mod future;
mod handle;
#[cfg(feature = "http")]
mod http;
mod joined;
mod layer;
mod registry;
mod service;
mod share;
mod state;
mod sync;

#[cfg(feature = "http")]
pub use self::http::{HttpKey, HttpRequests, HttpResponses};
pub use self::{
    control::Stats,
    flights::{Again, Flights, Lead, Role},
    handle::Handle,
    joined::{Joined, Landing},
    layer::CoalesceLayer,
    service::Coalesce,
    share::{Anything, Classified, Share},
};

/// The name of this layer in rejections.
pub(crate) const LAYER: &str = "coalesce";
