//! Race a late duplicate: a tower hedging layer with a learned delay, within a budget.
//!
//! Where one of several replicas is slow for a moment, the slowest calls of a service are far slower than the rest. A
//! hedge sends such a call once more when it is late, and takes whichever answer comes first; the other is dropped. (Dean
//! and Barroso, *The Tail at Scale*, 2013.) Two things make it safe:
//!
//! - **The delay is learned** ([`Delay::learned`], the default): it settles where about 2 % of the calls are still out,
//!   and follows when the whole service becomes slower, which a fixed delay would answer with a second copy of every call.
//! - **Each hedge is paid for** from the [`Share`] of a budget: whatever happens, `hedges <= 0.02 x calls + 100`. What a
//!   retry outside sends again is the same call.
//!
//! Only requests that may be sent twice are hedged: [`HedgeLayer::http`] asks for an idempotent method or an
//! `Idempotency-Key`; [`HedgeLayer::new`] takes any [`Policy`]. A failure that comes before the hedge was due brings it
//! forward, if a clone of the service is ready for it. If one copy fails while another is still out, the last one
//! standing decides; but if that one was refused, or not sent for another reason, an earlier error of one that was sent is
//! the answer: outside it is not to look as if nothing had been sent.
//!
//! A *response* that says a failure (a 503) is not kept while another copy is out, since its body may hold a place that
//! the other one waits for; it is the answer only if that one is refused at once.
//!
//! It deliberately does not try again when all copies have failed (`donjon-retry` outside of it does).
//!
//! # Example
//!
//! ```
//! use std::{sync::atomic::{AtomicU32, Ordering}, time::Duration};
//! use donjon_budget::Budget;
//! use donjon_core::CallError;
//! use donjon_hedge::{Delay, HedgeLayer, Standard};
//! use tokio::time::{Instant, sleep};
//! use tower::{Layer, ServiceExt, service_fn};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
//! // The first call meets a replica that pauses for ten seconds; the others take 5 ms.
//! static CALLS: AtomicU32 = AtomicU32::new(0);
//! let replicas = service_fn(|request: u64| async move {
//!     let slow = CALLS.fetch_add(1, Ordering::Relaxed) == 0;
//!     sleep(if slow { Duration::from_secs(10) } else { Duration::from_millis(5) }).await;
//!     Ok::<_, CallError>(request * 2)
//! });
//!
//! // A new share is empty, and earns a hedge with every fifty calls; here it need not.
//! let layer = HedgeLayer::new(Standard::new()).delay(Delay::fixed(Duration::from_millis(50))).budget(&Budget::unlimited());
//! let handle = layer.handle();
//! let began = Instant::now();
//! assert_eq!(layer.layer(replicas).oneshot(21).await.expect("the second copy answers"), 42);
//! assert!(began.elapsed() < Duration::from_millis(60));
//! assert_eq!(handle.stats().won, 1);
//! # });
//! ```
//!
//! # Where it belongs
//!
//! Inside of the retry and outside of whatever chooses an endpoint, so that the copy can go to another one; outside of
//! the limiter, so that the copy is counted by it.
//!
//! # What it costs
//!
//! A call clones the inner service and the request once. A call that is not hedged allocates nothing but what the copy
//! of the request does (nothing for numbers and reference counts; two for a header map that is not empty), arms a timer
//! when it is first pending, and writes the word of what was learned, and three counters while the share of the budget is
//! not full. A hedge allocates twice.
//!
//! # Sharing
//!
//! Clones of a layer, and every service that it has made, share what was learned, the share of the budget, and the
//! counters of [`HedgeHandle`]. `fresh()` starts anew with the same settings.
//!
//! # Cancellation
//!
//! Dropping the future drops every copy that is running. What a hedge has cost does not come back.
//!
//! # Feature flags
//!
//! - `http` (on): [`HedgeLayer::http`] and what belongs to it.

mod call;
mod copies;
mod delay;
mod future;
mod handle;
#[cfg(feature = "http")]
mod http;
mod layer;
mod learned;
mod measured;
mod observe;
mod policy;
mod service;
mod state;

pub use donjon_budget::{Budget, Share};

#[cfg(feature = "http")]
pub use self::http::Http;
pub use self::{
    delay::Delay,
    future::ResponseFuture,
    handle::{HedgeHandle, HedgeStats},
    layer::HedgeLayer,
    policy::{Policy, Standard},
    service::Hedge,
};
