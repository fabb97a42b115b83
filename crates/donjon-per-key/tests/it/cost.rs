//! What a call costs.

use donjon_concurrency_limit::ConcurrencyLimitLayer;
use donjon_per_key::{ExceptLayer, PerKeyLayer};
use futures_util::future::{Ready, ready};
use tower::{Layer, Service};

/// Answers at once, and counts its clones.
#[derive(Default)]
struct Inner {
    clones: std::sync::Arc<std::sync::atomic::AtomicUsize>,
}

impl Clone for Inner {
    fn clone(&self) -> Self {
        self.clones.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        Self { clones: self.clones.clone() }
    }
}

impl Service<u64> for Inner {
    type Response = u64;
    type Error = donjon_core::Rejection;
    type Future = Ready<Result<u64, Self::Error>>;
    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Self::Error>> {
        std::task::Poll::Ready(Ok(()))
    }
    fn call(&mut self, n: u64) -> Self::Future {
        ready(Ok(n))
    }
}

fn one<S: Service<u64, Response = u64>>(service: &mut S, n: u64) {
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(service.poll_ready(&mut cx).is_ready());
    let mut future = std::pin::pin!(service.call(n));
    match std::future::Future::poll(future.as_mut(), &mut cx) {
        std::task::Poll::Ready(Ok(answer)) => assert_eq!(answer, n),
        _ => panic!("it answers at once"),
    }
}

fn costs_a_clone_and_no_allocation<L: Layer<Inner, Service: Service<u64, Response = u64>>>(layer: L) {
    let inner = Inner::default();
    let clones = inner.clones.clone();
    let mut service = layer.layer(inner);
    for n in 0..10 {
        one(&mut service, n);
    }
    let before = clones.load(std::sync::atomic::Ordering::SeqCst);
    let counted = allocation_counter::measure(|| {
        // Often enough for the looks at idle keys to be among them.
        for n in 0..1000 {
            one(&mut service, n % 10);
        }
    });
    assert_eq!(counted.count_total, 0);
    assert_eq!(clones.load(std::sync::atomic::Ordering::SeqCst) - before, 1000);
}

#[test]
fn a_key_that_is_known_costs_a_clone_and_no_allocation() {
    let limit = || ConcurrencyLimitLayer::new(1);
    let own = |n: &u64| Some(*n);
    costs_a_clone_and_no_allocation(PerKeyLayer::new(own, limit()));
    costs_a_clone_and_no_allocation(PerKeyLayer::new(own, (limit(), limit())));
    costs_a_clone_and_no_allocation(PerKeyLayer::new(|_: &u64| None::<u8>, limit()));
    costs_a_clone_and_no_allocation(ExceptLayer::new(|n: &u64| *n < 5, limit()));
}

#[test]
fn a_refusal_costs_no_allocation() {
    let layer = PerKeyLayer::new(|n: &u64| Some(*n), ConcurrencyLimitLayer::new(1)).max_keys(0);
    let mut service = layer.layer(Inner::default());
    let mut refuse = || {
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(service.poll_ready(&mut cx).is_ready());
        let mut future = std::pin::pin!(service.call(1));
        assert!(matches!(std::future::Future::poll(future.as_mut(), &mut cx), std::task::Poll::Ready(Err(_))));
    };
    refuse();
    assert_eq!(allocation_counter::measure(refuse).count_total, 0);
}
