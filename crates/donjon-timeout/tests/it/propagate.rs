//! What remains, on the wire.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use bytes::Bytes;
use donjon_core::{CallError, Deadline, Fresh, Phase, RejectionKind};
use donjon_timeout::{DeadlineLayer, PropagateDeadlineLayer, TimeoutLayer};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::Empty;
use tokio::time::{Instant, sleep};
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
async fn less_time_is_not_lost_behind_a_field_that_says_nothing() {
    let mut request = with_field("grpc-timeout", "10m");
    request.headers_mut().append(PLAIN, HeaderValue::from_static("soon"));
    let fields = sent(PropagateDeadlineLayer::new().grpc(), secs(5), request).await.expect("it answers");
    assert_eq!(fields["grpc-timeout"], "10000000n");
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

/// What happened in a run of many clients over a chain of servers.
#[derive(Default)]
struct Work {
    begun: AtomicUsize,
    late: AtomicUsize,
}

impl Work {
    /// Some work for a client that waits until `client`.
    async fn some(&self, client: Instant) {
        self.begun.fetch_add(1, SeqCst);
        if Instant::now() >= client {
            self.late.fetch_add(1, SeqCst);
        }
        sleep(millis(5)).await;
    }
}

/// One server: some work, a call to the next server that is tried twice, some more work. The last one stalls for half
/// of the clients. Each server runs in a task of its own, which nobody cancels.
fn serve(
    hops: u32,
    id: u64,
    tells: bool,
    client: Instant,
    work: Arc<Work>,
) -> Pin<Box<dyn Future<Output = Result<(), CallError>> + Send>> {
    Box::pin(async move {
        work.some(client).await;
        if hops == 1 {
            if id.is_multiple_of(2) {
                sleep(millis(60 + id % 90)).await;
            }
        } else {
            let wire = service_fn(|req: Request<()>| {
                let work = Arc::clone(&work);
                async move {
                    let handler = service_fn(move |_: Request<()>| {
                        let next = serve(hops - 1, id, tells, client, Arc::clone(&work));
                        async move { next.await.map(|()| Response::new(Empty::<Bytes>::new())) }
                    });
                    let server = DeadlineLayer::http(secs(10)).layer(handler);
                    tokio::spawn(server.oneshot(req)).await.expect("no panic")
                }
            });
            let layer = if tells { PropagateDeadlineLayer::new() } else { PropagateDeadlineLayer::new().bypass() };
            let attempt = || TimeoutLayer::new(millis(80)).layer(layer.layer(wire)).oneshot(Request::new(()));
            if attempt().await.is_err() {
                attempt().await?;
            }
        }
        work.some(client).await;
        Ok(())
    })
}

/// How much work was begun, and how much of it after the client had left.
async fn many_clients(tells: bool) -> (usize, usize) {
    let work = Arc::new(Work::default());
    let clients: Vec<_> = (0..200)
        .map(|id| {
            let work = Arc::clone(&work);
            let client = DeadlineLayer::new(millis(200)).layer(service_fn(move |()| {
                let until = Deadline::current().instant().expect("the client has one");
                serve(5, id, tells, until, Arc::clone(&work))
            }));
            tokio::spawn(client.oneshot(()))
        })
        .collect();
    for client in clients {
        let _ = client.await.expect("no panic");
    }
    sleep(secs(60)).await;
    (work.begun.load(SeqCst), work.late.load(SeqCst))
}

#[tokio::test(start_paused = true)]
async fn no_work_begins_after_the_client_has_left() {
    let (begun, late) = many_clients(false).await;
    assert!(late * 100 > begun * 5, "without it much of the work is for nobody: {late} of {begun}");
    let (begun, late) = many_clients(true).await;
    assert_eq!(late, 0, "of {begun}");
    assert!(begun > 1000);
}
