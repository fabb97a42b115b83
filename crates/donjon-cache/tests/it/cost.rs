//! What a call costs in allocations.

use std::{
    future::{Future, ready},
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use donjon_cache::CacheLayer;
use donjon_core::{CallError, Fresh};
use tower::{Layer, Service, service_fn};

fn count(f: impl FnOnce()) -> u64 {
    allocation_counter::measure(f).count_total
}

fn call<S>(service: &mut S, n: u64)
where
    S: Service<u64, Response = Arc<str>, Error = CallError>,
{
    let call = pin!(service.call(n));
    let Poll::Ready(Ok(answer)) = call.poll(&mut Context::from_waker(Waker::noop())) else {
        panic!("it is answered at once")
    };
    assert_eq!(&*answer, "Ada");
}

#[test]
fn the_counter_counts() {
    assert_eq!(count(|| drop(std::hint::black_box(Box::new(1)))), 1);
}

#[test]
fn a_hit_allocates_nothing_and_needs_no_runtime() {
    let ada: Arc<str> = "Ada".into();
    let inner = service_fn(move |_: u64| ready(Ok::<_, CallError>(Arc::clone(&ada))));
    let mut service = CacheLayer::new(|n: &u64| Some(*n)).layer(inner);
    call(&mut service, 7);
    assert_eq!(count(|| (0..100).for_each(|_| call(&mut service, 7))), 0);
}

#[test]
fn a_miss_that_nobody_joins_allocates_the_flight_and_the_box_of_its_call() {
    let ada: Arc<str> = "Ada".into();
    let inner = service_fn(move |_: u64| ready(Ok::<_, CallError>(Arc::clone(&ada))));
    let layer = CacheLayer::new(|n: &u64| Some(*n)).capacity(64);
    let mut service = layer.layer(inner);
    // The first make room in the tables; after that each evicts another one.
    (0..1000).for_each(|n| call(&mut service, n));
    // Which key comes to which shard is a matter of luck, so a table may grow later; but seldom, and not in every round.
    let rounds = (10..50).map(|hundred| count(|| (0..100).for_each(|n| call(&mut service, 100 * hundred + n))));
    let allocations = rounds.min().expect("there are some");
    assert_eq!(layer.handle().stats().misses, 5000);
    assert!(allocations <= 300, "100 misses have allocated {allocations} times");
}

#[test]
fn a_call_without_a_key_allocates_nothing() {
    let ada: Arc<str> = "Ada".into();
    let inner = service_fn(move |_: u64| ready(Ok::<_, CallError>(Arc::clone(&ada))));
    let layer = CacheLayer::new(|n: &u64| (*n > 10).then_some(*n));
    let mut service = layer.layer(inner.clone());
    assert_eq!(count(|| call(&mut service, 7)), 0);
    let mut service = layer.bypass().layer(inner);
    assert_eq!(count(|| call(&mut service, 77)), 0);
}
