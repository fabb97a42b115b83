//! What a call allocates, counted on this thread.

use std::{
    future::{Future, ready},
    pin::pin,
    task::{Context, Poll, Waker},
};

use donjon_core::{CallError, Fresh, Ratio};
use donjon_hedge::{Delay, HedgeLayer};
use tokio::time::sleep;
use tower::{Layer, Service, service_fn};

use crate::support::{hedge, millis};

#[test]
fn a_call_that_is_answered_at_once_allocates_nothing() {
    let inner = service_fn(|n: u64| ready(Ok::<_, CallError>(n)));
    let percentile = Delay::percentile(Ratio::new(0.9).unwrap());
    for layer in [HedgeLayer::default(), hedge(percentile), HedgeLayer::default().bypass()] {
        let mut service = layer.layer(inner);
        let counted = allocation_counter::measure(|| {
            let mut cx = Context::from_waker(Waker::noop());
            assert!(service.poll_ready(&mut cx).is_ready());
            assert!(matches!(pin!(service.call(1)).poll(&mut cx), Poll::Ready(Ok(1))));
        });
        assert_eq!(counted.count_total, 0, "{layer:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_and_is_not_hedged_allocates_nothing_and_a_hedge_twice() {
    let inner = service_fn(|millis_: u64| async move {
        sleep(millis(millis_)).await;
        Ok::<_, CallError>(millis_)
    });
    let mut service = hedge(Delay::fixed(millis(50))).layer(inner);
    let mut counts = Vec::new();
    for lasting in [20, 20, 80] {
        let mut call = pin!(service.call(lasting));
        let mut total = 0;
        let done = std::future::poll_fn(|cx| {
            let mut poll = Poll::Pending;
            total += allocation_counter::measure(|| poll = call.as_mut().poll(cx)).count_total;
            poll
        });
        assert_eq!(done.await.unwrap(), lasting);
        counts.push(total);
    }
    // The first call may grow what the runtime's timer keeps.
    assert_eq!(counts[1..], [0, 2]);
}
