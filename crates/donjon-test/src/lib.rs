//! A contract kit for tower middleware: a probe service and named checks, one for each law.
//!
//! - [`contract::check`] runs every named [check](contract::Check) over a layer and says which ones it fails.
//! - [`Probe`] is the service under the layer: it does what its [`ProbeHandle`] says, and notes all that is done to it.
//!   It can be used alone, in tests of your own, and [`Script`] makes it an unreliable service by seed.
//! - [`Exchange`] is what is said between the two: [`Http`], [`Streaming`] bodies, a [`Number`], or a protocol of your
//!   own.
//!
//! The checks know nothing of what a layer is for: whether it refuses, queues, repeats, gives up or answers by itself.
//! They look at what tower's contract and the laws of these crates ask of any layer.
//!
//! # Example
//!
//! ```
//! use donjon_test::contract;
//! use tower_layer::Identity;
//!
//! // A factory: each check wants a new layer. It is synchronous: the kit has a paused runtime of its own.
//! contract::check(Identity::new).unwrap();
//! ```
//!
//! A layer over other requests than HTTP's, one that can be [`Fresh`](donjon_core::Fresh), or one that breaks a law on
//! purpose:
//!
//! ```
//! use donjon_test::{Number, contract::{self, Check, Contract}};
//! use tower::limit::GlobalConcurrencyLimitLayer;
//! use tower_layer::Identity;
//!
//! contract::check_over(Number, Identity::new).unwrap();
//!
//! Contract::new()
//!     .skip(Check::IdleHoldsNothing, "it reserves its place in `poll_ready`")
//!     .skip(Check::CompletionGivesBack, "its permit lives as long as the future")
//!     .check_over(Number, || GlobalConcurrencyLimitLayer::new(4))
//!     .unwrap();
//! ```
//!
//! # What it leaves out
//!
//! What depends on two threads running at once, what a layer costs, and what it is for. A layer over services whose error
//! is not a [`CallError`](donjon_core::CallError), such as one that turns refusals into responses, is checked by what it
//! wraps.
//!
//! # Feature flags
//!
//! None. A layer that sends requests of HTTP again needs the feature `http` of `donjon-core`, which makes them
//! [`Replay`](donjon_core::Replay).

pub mod contract;
mod exchange;
mod probe;

pub use self::{
    exchange::{
        Accept, Exchange, Http, LocalMessage, Message, Number, ProbeBody, Read, ReadBody, Streaming, Truncated,
    },
    probe::{Probe, ProbeError, ProbeFuture, ProbeHandle, ProbeStats, Readiness, Reply, Script, Started, Violation},
};
