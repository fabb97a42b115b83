//! How long to wait before a retry, and how much extra load to add: backoff, jitter and retry budgets.
//!
//! - [`Backoff`]: constant or exponential, or scaled by how long the call itself took; full jitter unless another
//!   [`Jitter`] is asked for; and how to read a server's `Retry-After` ([`Hints`]). A pure function: the randomness and
//!   the measurements are passed in, so a test or a replay decides them.
//! - [`Budget`]: a token bucket that successes fill and retries empty, so that retries stay a small share of the
//!   traffic when everything fails. [`Withdrawal`] and [`Receipt`] are what a retry holds of it; hedges, probes and
//!   refreshes have their own [`Share`] of 2 % of the calls.
//! - [`Entropy`]: where the randomness comes from; seeded, it repeats itself.
//!
//! There is no clock, no timer and no middleware here: `donjon-retry` is the layer that uses them.
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//! use donjon_budget::{Backoff, Budget, Cost, Entropy, Step};
//!
//! let budget = Budget::new();
//! let backoff = Backoff::exponential(Duration::from_millis(50), Duration::from_secs(20));
//! let entropy = Entropy::seeded(7);
//!
//! // A call failed. May it be sent again, and when?
//! let withdrawal = budget.withdraw(Cost::Failure).expect("a new budget is full");
//! let wait = backoff.delay(&Step::new(1), entropy.next_u64());
//! assert!(wait <= Duration::from_millis(50));
//!
//! // It is sent, and succeeds: the token comes back.
//! withdrawal.spend().succeeded();
//! assert_eq!(budget.stats().tokens, 24.0);
//! ```
//!
//! # Sharing
//!
//! Clones of a [`Budget`] are the same bucket. Several layers may share one: the invariant, extra sends <= initial
//! tokens + ratio x first-try successes + refunds of retries that succeeded, then holds for all of them together; and
//! so does that of the shares, extra sends <= 0.02 x calls + 100.
//!
//! # Cancellation
//!
//! A [`Withdrawal`] that is dropped without being spent gives its tokens back: a call that is cancelled while it waits
//! for its retry has cost nothing. Once spent, dropping changes nothing any more.

mod backoff;
mod budget;
mod builder;
mod entropy;
mod observe;
mod share;
mod sync;
mod token;

pub use self::{
    backoff::{Backoff, Hints, Jitter, Step},
    budget::{Budget, BudgetStats, Cost},
    builder::BudgetBuilder,
    entropy::Entropy,
    share::{Share, ShareStats},
    token::{Receipt, Withdrawal},
};
