//! What a call in time costs: no allocation, no timer, no clock, nothing shared that is written.

use std::{
    future::{Future, ready},
    pin::pin,
    task::{Context, Poll, Waker},
};

use donjon_core::CallError;
use donjon_timeout::{DeadlineLayer, TimeoutLayer};
use tower::{Layer, Service, service_fn};

use crate::{alloc, support::secs};

fn answers() -> impl Service<u64, Response = u64, Error = CallError> + Clone {
    service_fn(|n: u64| ready(Ok::<_, CallError>(n)))
}

fn call_once<S: Service<u64, Response = u64, Error = CallError>>(service: &mut S) {
    let mut cx = Context::from_waker(Waker::noop());
    assert!(service.poll_ready(&mut cx).is_ready());
    let call = pin!(service.call(7));
    assert!(matches!(call.poll(&mut cx), Poll::Ready(Ok(7))));
}

#[test]
fn a_call_in_time_allocates_nothing_and_needs_no_runtime() {
    // Outside of a runtime a timer would panic, so none is made.
    let mut attempt = TimeoutLayer::new(secs(1)).layer(answers());
    assert_eq!(alloc::count(|| call_once(&mut attempt)), 0);
    let mut deadline = DeadlineLayer::new(secs(1)).layer(answers());
    assert_eq!(alloc::count(|| call_once(&mut deadline)), 0);
    let mut both = DeadlineLayer::new(secs(5)).layer(TimeoutLayer::new(secs(1)).layer(answers()));
    assert_eq!(alloc::count(|| (0..100).for_each(|_| call_once(&mut both))), 0);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_pending_allocates_nothing() {
    let inner = service_fn(|n: u64| async move {
        tokio::task::yield_now().await;
        Ok::<_, CallError>(n)
    });
    let mut both = DeadlineLayer::new(secs(5)).layer(TimeoutLayer::new(secs(1)).layer(inner));
    let mut cx = Context::from_waker(Waker::noop());
    let mut poll_twice = || {
        let mut call = pin!(both.call(7));
        assert!(call.as_mut().poll(&mut cx).is_pending());
        assert!(matches!(call.poll(&mut cx), Poll::Ready(Ok(7))));
    };
    // tokio's first timer and first deferred wake-up on a thread make their own room.
    poll_twice();
    assert_eq!(alloc::count(&mut poll_twice), 0);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_in_the_user_s_own_type_allocates_nothing() {
    use donjon_core::Rejection;
    let hangs = service_fn(|_: u64| std::future::pending::<Result<u64, Rejection>>());
    let mut service = TimeoutLayer::new(std::time::Duration::ZERO).layer(hangs);
    let mut cx = Context::from_waker(Waker::noop());
    let allocations = alloc::count(|| {
        assert!(service.poll_ready(&mut cx).is_ready());
        assert!(matches!(pin!(service.call(1)).poll(&mut cx), Poll::Ready(Err(_))));
    });
    assert_eq!(allocations, 0);
}

#[test]
fn a_future_is_no_larger_than_its_timer_and_what_it_carries() {
    let timer = size_of::<Option<tokio::time::Sleep>>();
    let mut attempt = TimeoutLayer::new(secs(1)).layer(answers());
    let size = size_of_val(&attempt.call(1));
    assert!(size <= timer + 72, "{size} with a timer of {timer}");
    let mut deadline = DeadlineLayer::new(secs(1)).layer(answers());
    let size = size_of_val(&deadline.call(1));
    assert!(size <= timer + 144, "{size} with a timer of {timer}");
}

#[cfg(feature = "http")]
#[test]
fn the_forms_for_http_allocate_nothing_of_their_own() {
    use bytes::Bytes;
    use donjon_timeout::IdleTimeoutLayer;
    use http::{Request, Response};
    use http_body::Body;
    use http_body_util::Full;

    let inner = service_fn(|req: Request<Full<Bytes>>| ready(Ok::<_, CallError>(Response::new(req.into_body()))));
    let inner = IdleTimeoutLayer::new(secs(1)).layer(inner);
    let mut stack = DeadlineLayer::http(secs(5)).layer(TimeoutLayer::http(secs(1)).layer(inner));
    let mut cx = Context::from_waker(Waker::noop());
    let allocations = alloc::count(|| {
        let call = pin!(stack.call(Request::new(Full::new(Bytes::from_static(b"whole")))));
        let Poll::Ready(Ok(response)) = call.poll(&mut cx) else { panic!("it answers at once") };
        let mut body = pin!(response.into_body());
        assert!(matches!(body.as_mut().poll_frame(&mut cx), Poll::Ready(Some(Ok(_)))));
        assert!(matches!(body.as_mut().poll_frame(&mut cx), Poll::Ready(None)));
    });
    assert_eq!(allocations, 0);
}
