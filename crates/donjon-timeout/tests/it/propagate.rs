//! What remains, on the wire.

use std::time::Duration;

use bytes::Bytes;
use donjon_core::{CallError, Deadline, Fresh, Phase, RejectionKind};
use donjon_timeout::{DeadlineLayer, PropagateDeadlineLayer};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::Empty;
use tokio::time::sleep;
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::support::{millis, refusal, secs};

const PLAIN: &str = "x-request-timeout-ms";
const GRPC: &str = "grpc-timeout";

/// Answers with the fields that it was sent.
fn echo() -> impl Service<Request<()>, Response = HeaderMap, Error = CallError, Future: Send> + Clone {
    service_fn(|req: Request<()>| async move { Ok(req.into_parts().0.headers) })
}

fn with_field(name: &'static str, value: &'static str) -> Request<()> {
    let mut request = Request::new(());
    request.headers_mut().insert(name, HeaderValue::from_static(value));
    request
}

/// The fields that are sent within this deadline.
async fn sent(layer: PropagateDeadlineLayer, left: Duration, request: Request<()>) -> Result<HeaderMap, CallError> {
    Deadline::after(left).scope(layer.layer(echo()).oneshot(request)).await
}

#[tokio::test(start_paused = true)]
async fn what_remains_is_sent() {
    let client = DeadlineLayer::new(secs(5)).layer(service_fn(|req: Request<()>| async {
        sleep(millis(1234)).await;
        PropagateDeadlineLayer::new().layer(echo()).oneshot(req).await
    }));
    let fields = client.oneshot(Request::new(())).await.expect("it answers");
    assert_eq!(fields[PLAIN], "3766");
    assert_eq!(fields.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn it_is_rounded_down() {
    let fields = sent(PropagateDeadlineLayer::new(), Duration::from_micros(2999), Request::new(())).await;
    assert_eq!(fields.expect("it answers")[PLAIN], "2");
}

#[tokio::test(start_paused = true)]
async fn grpc_has_a_field_of_its_own() {
    let fields = sent(PropagateDeadlineLayer::new().grpc(), secs(5), Request::new(())).await.expect("it answers");
    assert_eq!(fields[GRPC], "5000000u");
    assert_eq!(fields.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_field_that_is_there_is_replaced_unless_it_leaves_less() {
    for (said, expected) in [("9000", "5000"), ("300", "300"), ("soon", "5000"), ("5000", "5000")] {
        let fields = sent(PropagateDeadlineLayer::new(), secs(5), with_field(PLAIN, said)).await.expect("it answers");
        let values: Vec<_> = fields.get_all(PLAIN).iter().collect();
        assert_eq!(values, [expected], "{said}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_deadline_nothing_is_changed() {
    let fields = PropagateDeadlineLayer::new().layer(echo()).oneshot(Request::new(())).await.expect("it answers");
    assert!(fields.is_empty());
    let request = with_field(PLAIN, "9000");
    let fields = PropagateDeadlineLayer::new().layer(echo()).oneshot(request).await.expect("it answers");
    assert_eq!(fields[PLAIN], "9000");
}

#[tokio::test(start_paused = true)]
async fn at_most_the_time_of_an_attempt_is_said() {
    let layer = PropagateDeadlineLayer::new().at_most(secs(1));
    assert_eq!(sent(layer, secs(5), Request::new(())).await.expect("it answers")[PLAIN], "1000");
    assert_eq!(sent(layer, millis(500), Request::new(())).await.expect("it answers")[PLAIN], "500");
    assert_eq!(layer.layer(echo()).oneshot(Request::new(())).await.expect("it answers")[PLAIN], "1000");
}

#[tokio::test(start_paused = true)]
async fn what_leaves_no_time_is_not_sent() {
    for left in [Duration::ZERO, Duration::from_micros(999)] {
        let error = sent(PropagateDeadlineLayer::new(), left, Request::new(())).await.expect_err("nothing is left");
        assert_eq!(refusal(&error), (RejectionKind::DeadlineExceeded, Phase::Admission));
        assert!(error.to_string().starts_with("propagate-deadline refused the call"));
    }
    assert!(sent(PropagateDeadlineLayer::new().grpc(), Duration::from_micros(999), Request::new(())).await.is_ok());
    assert!(sent(PropagateDeadlineLayer::new().grpc(), Duration::ZERO, Request::new(())).await.is_err());
    assert!(sent(PropagateDeadlineLayer::new(), secs(5), with_field(PLAIN, "0")).await.is_err());
    let zero = PropagateDeadlineLayer::new().at_most(Duration::ZERO);
    assert!(zero.layer(echo()).oneshot(Request::new(())).await.is_err());
    let fields = sent(zero.bypass(), secs(5), Request::new(())).await.expect("it lets everything through");
    assert!(fields.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_chain_of_servers_shares_one_deadline() {
    // Five hops, each with a deadline of 10 s of its own, and 30 ms of work before it calls the next one.
    fn hop(n: u32) -> std::pin::Pin<Box<dyn Future<Output = Result<Vec<Duration>, CallError>> + Send>> {
        Box::pin(async move {
            let left = Deadline::current().remaining().expect("each hop has one");
            sleep(millis(30)).await;
            let mut seen = vec![left];
            if n > 1 {
                // The wire: only the fields cross it.
                let wire = service_fn(move |req: Request<()>| async move {
                    let handler = service_fn(move |_: Request<()>| async move {
                        let mut response = Response::new(Empty::<Bytes>::new());
                        response.extensions_mut().insert(hop(n - 1).await?);
                        Ok::<_, CallError>(response)
                    });
                    let server = DeadlineLayer::http(secs(10)).layer(handler);
                    let response = tokio::spawn(server.oneshot(req)).await.expect("no panic")?;
                    Ok::<_, CallError>(response.extensions().get::<Vec<Duration>>().cloned().expect("it is there"))
                });
                seen.extend(PropagateDeadlineLayer::new().layer(wire).oneshot(Request::new(())).await?);
            }
            Ok(seen)
        })
    }
    let client = DeadlineLayer::new(millis(200)).layer(service_fn(|n: u32| hop(n)));
    let seen = client.oneshot(5).await.expect("150 ms of work");
    assert_eq!(seen, [200, 170, 140, 110, 80].map(millis));
}
