//! What a call costs in allocations: the flight and the box of the running call for whoever starts it, and next to
//! nothing for those who join.

use std::{
    future::{Future, ready},
    pin::pin,
    task::{Context, Poll, Waker},
};

use donjon_coalesce::CoalesceLayer;
use donjon_core::CallError;
use tower::{Layer, Service, service_fn};

use crate::alloc;

#[test]
fn a_call_that_nobody_joins_allocates_twice_and_needs_no_runtime() {
    let inner = service_fn(|n: u64| ready(Ok::<_, CallError>(n)));
    let mut service = CoalesceLayer::new(|n: &u64| Some(*n)).layer(inner);
    let mut cx = Context::from_waker(Waker::noop());
    let mut call_once = || {
        let call = pin!(service.call(7));
        assert!(matches!(call.poll(&mut cx), Poll::Ready(Ok(7))));
    };
    // The first makes room in the map.
    call_once();
    assert_eq!(alloc::count(call_once), 2, "the flight, and the box of the call");
}

#[test]
fn a_call_without_a_key_allocates_nothing() {
    let inner = service_fn(|n: u64| ready(Ok::<_, CallError>(n)));
    let mut service = CoalesceLayer::new(|_: &u64| None::<u64>).layer(inner);
    let mut cx = Context::from_waker(Waker::noop());
    let allocations = alloc::count(|| {
        let call = pin!(service.call(7));
        assert!(matches!(call.poll(&mut cx), Poll::Ready(Ok(7))));
    });
    assert_eq!(allocations, 0);
}

#[test]
fn those_who_join_make_room_for_themselves_now_and_then() {
    let inner = service_fn(|_: u64| std::future::pending::<Result<u64, CallError>>());
    let service = CoalesceLayer::new(|n: &u64| Some(*n)).layer(inner);
    let mut cx = Context::from_waker(Waker::noop());
    let mut calls: Vec<_> = (0..65).map(|_| Box::pin(service.clone().call(7))).collect();
    assert!(calls[0].as_mut().poll(&mut cx).is_pending());
    let allocations = alloc::count(|| {
        for call in &mut calls[1..] {
            assert!(call.as_mut().poll(&mut cx).is_pending());
        }
    });
    assert!(allocations <= 6, "64 callers have joined with {allocations} allocations");
}

#[test]
fn a_flood_of_keys_leaves_nothing_behind() {
    let inner = service_fn(|n: u64| ready(Ok::<_, CallError>(n)));
    let mut service = CoalesceLayer::new(|n: &u64| Some(*n)).layer(inner);
    let mut cx = Context::from_waker(Waker::noop());
    let mut flood = |keys: std::ops::Range<u64>| {
        for n in keys {
            let call = pin!(service.call(n));
            assert!(matches!(call.poll(&mut cx), Poll::Ready(Ok(answer)) if answer == n));
        }
    };
    flood(0..1_000);
    let info = allocation_counter::measure(|| flood(1_000..100_000));
    assert_eq!(info.bytes_current, 0);
    assert!(info.bytes_max < 1_000, "{} bytes at once", info.bytes_max);
    assert_eq!(info.count_total, 2 * 99_000, "and the map is not made again and again");
}
