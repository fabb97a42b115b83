//! A contract kit for tower middleware: a probe service and named checks, one for each law.
//!
//! - [`contract::check`] runs every named [check](contract::Check) over a layer and says which ones it fails.
//! - [`Probe`] is the service under the layer: it does what its [`ProbeHandle`] says, and notes all that is done to it.
//!   It can be used alone, in tests of your own.
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

pub mod contract;
mod exchange;
mod probe;

pub use self::{
    exchange::{
        Accept, Exchange, Http, LocalMessage, Message, Number, ProbeBody, Read, ReadBody, Streaming, Truncated,
    },
    probe::{Probe, ProbeError, ProbeFuture, ProbeHandle, ProbeStats, Readiness, Reply, Script, Started, Violation},
};
