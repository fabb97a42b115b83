use std::net::SocketAddr;

use tokio::time::Instant;
use tonic::{Code, transport::Channel};
use tonic_health::pb::health_client::HealthClient;

use super::*;

/// Long enough that nobody waits for its end, and short enough for the server's deadline.
const LONG: u64 = 4_500;

struct Running {
    address: SocketAddr,
    server: Handle,
    service: Handle,
}

async fn start(server: usize, service: usize) -> Running {
    let server = ConcurrencyLimitLayer::http(server).queue(0);
    let service = ConcurrencyLimitLayer::http(service).queue(0);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let handles = (server.handle(), service.handle());
    tokio::spawn(serve(listener, server, service));
    Running { address, server: handles.0, service: handles.1 }
}

/// A client with a connection of its own.
async fn client(address: SocketAddr) -> HealthClient<Channel> {
    let channel = Channel::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
    HealthClient::new(channel)
}

fn ask(ms: u64) -> Request<HealthCheckRequest> {
    Request::new(HealthCheckRequest { service: ms.to_string() })
}

async fn until(handle: &Handle, in_flight: usize) {
    while handle.stats().in_flight != in_flight {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn a_call_within_the_limits_is_served() {
    let running = start(1, 1).await;
    let answer = client(running.address).await.check(ask(0)).await.unwrap();
    assert_eq!(answer.into_inner().status(), ServingStatus::Serving);
    assert_eq!((running.server.stats().admitted, running.service.stats().admitted), (1, 1));
}

#[tokio::test]
async fn call_n_plus_1_over_another_connection_is_resource_exhausted_and_told_when_to_come_back() {
    let running = start(2, 8).await;
    let calls: Vec<_> =
        (0..2).map(|_| tokio::spawn(async move { client(running.address).await.check(ask(LONG)).await })).collect();
    until(&running.server, 2).await;

    let status = client(running.address).await.check(ask(0)).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::ResourceExhausted, "overloaded"));
    assert_eq!(status.metadata().get("grpc-retry-pushback-ms").unwrap(), "1000");

    for call in calls {
        call.abort();
    }
    until(&running.server, 0).await;
    client(running.address).await.check(ask(0)).await.unwrap();
}

#[tokio::test]
async fn one_service_has_a_limit_of_its_own_and_keeps_its_name() {
    let running = start(8, 0).await;
    let status = client(running.address).await.check(ask(0)).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted, "found by its name, and refused by its limit");
    assert_eq!(running.server.stats().admitted, 1);
}

#[tokio::test]
async fn a_call_without_time_left_is_deadline_exceeded_and_no_handler_runs() {
    let running = start(8, 8).await;
    let mut request = ask(0);
    // The plain field: tonic's own client would not send a request with a `grpc-timeout` of 0.
    request.metadata_mut().insert("x-request-timeout-ms", "0".parse().unwrap());
    let status = client(running.address).await.check(request).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::DeadlineExceeded, "deadline-exceeded"));
    assert_eq!((running.server.stats().admitted, running.service.stats().admitted), (0, 0));
}

#[tokio::test]
async fn a_handler_knows_how_long_its_caller_waits() {
    let running = start(8, 8).await;
    let mut client = client(running.address).await;
    let mut request = ask(LONG);
    request.set_timeout(Duration::from_secs(3));
    let status = client.check(request).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::DeadlineExceeded, "it would take longer than you wait"));
    // Without a word of the client's it is the server's five seconds.
    let status = client.check(ask(6_000)).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
}

#[tokio::test]
async fn a_stream_holds_its_permits_until_the_client_has_gone() {
    let running = start(1, 1).await;
    let mut events = client(running.address).await.watch(ask(0)).await.unwrap().into_inner();
    assert!(events.message().await.unwrap().is_some());
    assert_eq!((running.server.stats().in_flight, running.service.stats().in_flight), (1, 1));
    let status = client(running.address).await.check(ask(0)).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    drop(events);
    until(&running.server, 0).await;
    until(&running.service, 0).await;
    client(running.address).await.check(ask(0)).await.unwrap();
}

#[tokio::test]
async fn a_stream_of_a_caller_that_says_no_time_ends_after_the_servers_five_seconds() {
    let running = start(1, 1).await;
    let began = Instant::now();
    let mut events = client(running.address).await.watch(ask(0)).await.unwrap().into_inner();
    assert!(events.message().await.unwrap().is_some());
    let status = events.message().await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::DeadlineExceeded, "deadline-exceeded"));
    assert!(began.elapsed() >= Duration::from_secs(5));
    until(&running.server, 0).await;
}

#[tokio::test]
async fn a_stream_that_its_caller_has_no_more_time_for_ends_with_deadline_exceeded() {
    let running = start(1, 1).await;
    let mut request = ask(0);
    request.set_timeout(Duration::from_secs(2));
    let mut events = client(running.address).await.watch(request).await.unwrap().into_inner();
    assert!(events.message().await.unwrap().is_some());
    let status = events.message().await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::DeadlineExceeded, "deadline-exceeded"));
    until(&running.server, 0).await;
}
