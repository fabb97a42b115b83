//! On a request that is a number, limits, rates, retry, timeout, breaker and deadline allocate nothing, alone or stacked, where
//! nothing is queued or repeated; nor does a hit.

use std::{fmt::Debug, pin::pin, time::Duration};

use donjon::{
    BreakerLayer, CacheLayer, CallError, CoalesceLayer, ConcurrencyLimitLayer, DeadlineLayer, RateLimitLayer,
    RetryLayer, TimeoutLayer,
    per_key::{ExceptLayer, PerKeyLayer},
    rate_limit::Rate,
};
use donjon_benches::{bare::Bare, hits};
use tower::{Service, ServiceBuilder, ServiceExt};

const SECOND: Duration = Duration::from_secs(1);

fn allocations<S>(mut service: S) -> u64
where
    S: Service<u64>,
    S::Error: Debug,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    // Some before: what is made once for a thread, a layer or a shard of it is not a call's.
    for n in 100..400 {
        runtime.block_on(async { service.ready().await.expect("ready").call(n).await.expect("an answer") });
    }
    // The least of many rounds: which key comes to which shard is a matter of luck, so some may be made after that; but
    // each is made once, and there are more rounds than shards.
    let rounds = (0..40).map(|_| {
        let counted = allocation_counter::measure(|| {
            for n in 0..100 {
                let call = pin!(async { service.ready().await.expect("ready").call(n).await.expect("an answer") });
                runtime.block_on(call);
            }
        });
        counted.count_total
    });
    rounds.min().expect("there are some")
}

fn bare() -> Bare<CallError> {
    Bare::new()
}

#[test]
fn the_count_sees_an_allocation() {
    let boxing = bare().map_request(|n: u64| *std::hint::black_box(Box::new(n)));
    assert_eq!(allocations(boxing), 100);
}

#[test]
fn each_layer_alone_allocates_nothing() {
    assert_eq!(allocations(bare()), 0, "the control");
    let stack = ServiceBuilder::new();
    assert_eq!(allocations(stack.clone().layer(ConcurrencyLimitLayer::new(1)).service(bare())), 0, "limit");
    assert_eq!(allocations(stack.clone().layer(RetryLayer::default()).service(bare())), 0, "retry");
    assert_eq!(allocations(stack.clone().layer(TimeoutLayer::new(SECOND)).service(bare())), 0, "timeout");
    assert_eq!(allocations(stack.clone().layer(BreakerLayer::new()).service(bare())), 0, "breaker");
    assert_eq!(allocations(stack.clone().layer(DeadlineLayer::new(SECOND)).service(bare())), 0, "deadline");
    let rate = RateLimitLayer::new(Rate::per_second(1_000_000_000));
    assert_eq!(allocations(stack.clone().layer(rate.clone()).service(bare())), 0, "rate limit");
    let each = PerKeyLayer::new(|n: &u64| Some(n % 8), rate);
    assert_eq!(allocations(stack.clone().layer(each).service(bare())), 0, "rate limit, a key each");
    let except = ExceptLayer::new(|n: &u64| n.is_multiple_of(2), ConcurrencyLimitLayer::new(1));
    assert_eq!(allocations(stack.layer(except).service(bare())), 0, "limit, with exceptions");
}

#[test]
fn the_layers_stacked_allocate_nothing() {
    let stack = ServiceBuilder::new()
        .layer(DeadlineLayer::new(SECOND))
        .layer(RetryLayer::default())
        .layer(BreakerLayer::new())
        .layer(ConcurrencyLimitLayer::new(1))
        .layer(TimeoutLayer::new(SECOND))
        .service(bare());
    assert_eq!(allocations(stack), 0);
}

#[test]
fn a_hit_of_the_store_allocates_nothing() {
    assert_eq!(allocations(hits::engine()), 0, "the engine alone");
    assert_eq!(allocations(hits::store()), 0);
}

/// The entry of the call, and the box of what runs.
#[test]
fn coalescing_allocates_twice_for_a_call_that_nobody_joins() {
    let coalesced = ServiceBuilder::new().layer(CoalesceLayer::new(|n: &u64| Some(*n))).service(bare());
    assert_eq!(allocations(coalesced), 200);
}

#[test]
fn a_hit_of_the_cache_allocates_nothing() {
    let values = bare().map_response(std::sync::Arc::new);
    let cached = ServiceBuilder::new().layer(CacheLayer::new(|n: &u64| Some(n % 100))).service(values);
    assert_eq!(allocations(cached), 0);
}

/// The box of the miss, the entry of the call and the box of what runs; the store has made its room.
#[test]
fn a_miss_of_the_cache_allocates_three_times_alone_and_in_a_stack() {
    let cache = || CacheLayer::new(hits::new_key).capacity(64);
    assert_eq!(allocations(ServiceBuilder::new().layer(cache()).service(bare())), 300);
    let stack = ServiceBuilder::new()
        .layer(DeadlineLayer::new(SECOND))
        .layer(cache())
        .layer(RetryLayer::default())
        .layer(ConcurrencyLimitLayer::new(1))
        .layer(TimeoutLayer::new(SECOND))
        .service(bare());
    assert_eq!(allocations(stack), 300);
}
