//! Stacks are layers too: each keeps the laws that its layers keep.

use std::time::Duration;

use donjon::{
    CollectLayer, ConcurrencyLimitLayer, DeadlineLayer, ReplayLayer, RetryLayer, TimeoutLayer,
    client::{self, ClientBuilder, Stack},
};
use donjon_test::{Streaming, contract};
use tower::{Layer, ServiceBuilder};

const SECOND: Duration = Duration::from_secs(1);

/// The ready-made stack as a layer.
#[derive(Clone)]
struct Standard(ClientBuilder<()>);

impl<S> Layer<S> for Standard {
    type Service = Stack<S>;

    fn layer(&self, inner: S) -> Stack<S> {
        self.0.clone().transport(inner).build_stack()
    }
}

#[test]
fn the_ready_made_stack_keeps_the_laws() {
    contract::check(|| Standard(client::builder().transport(()))).unwrap();
    // Nobody is refused: whoever is refused may try again, and the budget remembers.
    contract::check(|| Standard(client::builder().max_in_flight(3).queue(64).propagate_deadline().transport(())))
        .unwrap();
}

#[test]
fn a_client_stack_over_streaming_bodies_keeps_the_laws() {
    let stack = || {
        ServiceBuilder::new()
            .layer(DeadlineLayer::http(5 * SECOND))
            .layer(ReplayLayer::new())
            .layer(RetryLayer::http())
            .layer(ConcurrencyLimitLayer::http(3).queue(64))
            .layer(TimeoutLayer::http(SECOND))
            .layer(CollectLayer::new())
            .into_inner()
    };
    contract::check_over(Streaming::new(), stack).unwrap();
}

#[test]
fn a_server_stack_keeps_the_laws() {
    let stack = || (DeadlineLayer::http(5 * SECOND), ConcurrencyLimitLayer::http(3).queue(4));
    contract::check_over(Streaming::new(), stack).unwrap();
    let stack = || (ConcurrencyLimitLayer::new(3).queue(4), TimeoutLayer::new(SECOND));
    contract::check(stack).unwrap();
}
