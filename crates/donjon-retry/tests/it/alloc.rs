//! What a call allocates, counted on this thread.

use std::{
    future::{Future, ready},
    pin::pin,
    task::{Context, Poll, Waker},
};

use donjon_core::{CallError, Fresh, Rejection, RejectionKind};
use donjon_retry::{Backoff, RetryLayer};
use tower::{Layer, Service, service_fn};

/// Allocations of one call that is answered at its first poll.
fn allocations<S: Service<Req>, Req>(service: &mut S, req: Req) -> u64 {
    let mut done = false;
    let counted = allocation_counter::measure(|| {
        let mut cx = Context::from_waker(Waker::noop());
        assert!(service.poll_ready(&mut cx).is_ready());
        done = matches!(pin!(service.call(req)).poll(&mut cx), Poll::Ready(Ok(_)));
    });
    assert!(done, "it is answered at once");
    counted.count_total
}

#[test]
fn a_success_at_the_first_attempt_allocates_nothing() {
    // Outside of a runtime: a timer or a task would panic.
    let inner = service_fn(|n: u64| ready(Ok::<_, CallError>(n)));
    for layer in [RetryLayer::default(), RetryLayer::default().max_attempts(1), RetryLayer::default().bypass()] {
        assert_eq!(allocations(&mut layer.layer(inner), 1), 0);
    }
    let stacked = RetryLayer::default().layer(RetryLayer::default().layer(inner));
    assert_eq!(allocations(&mut stacked.clone(), 1), 0);
}

#[test]
fn a_repeat_allocates_once_for_all_attempts() {
    let layer = RetryLayer::default().backoff(Backoff::constant(std::time::Duration::ZERO));
    let mut attempts = 0;
    let inner = move |_: u64| {
        attempts += 1;
        // An error that allocates nothing itself.
        let refusal = Rejection::new(RejectionKind::Overloaded, "test");
        ready(if attempts < 4 { Err(refusal) } else { Ok(()) })
    };
    let shared = std::rc::Rc::new(std::cell::RefCell::new(inner));
    let mut service = layer.layer(service_fn(move |n| (shared.borrow_mut())(n)));
    assert_eq!(allocations(&mut service, 1), 1);
}

#[cfg(feature = "http")]
mod http_copy {
    use bytes::Bytes;
    use http::{HeaderValue, Request, Response, Uri};
    use http_body_util::Full;

    use super::*;

    /// The copy that is kept: two for its header map, and none for method, URI, static values and body.
    #[test]
    fn an_http_request_costs_the_copy_of_its_header_map() {
        let inner = service_fn(|_: Request<Full<Bytes>>| ready(Ok::<_, CallError>(Response::<Full<Bytes>>::default())));
        let request = || {
            let mut request = Request::new(Full::new(Bytes::from_static(b"{}")));
            *request.uri_mut() = Uri::from_static("https://example.com/users/42");
            request.headers_mut().insert("accept", HeaderValue::from_static("application/json"));
            request.headers_mut().insert("content-type", HeaderValue::from_static("application/json"));
            request
        };
        assert_eq!(allocations(&mut inner.clone(), request()), 0);
        assert_eq!(allocations(&mut RetryLayer::http().layer(inner), request()), 2);
    }
}
