//! The ready-made server stack around an axum router.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Body, extract::ConnectInfo, routing::get};
use donjon::{
    Deadline, PerKeyLayer, RateLimitLayer,
    http::key::{self, PeerAddr},
    per_key::Unkeyed,
    rate_limit::Rate,
    server,
};
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use tower::ServiceExt;

fn request(path: &str) -> Request<Body> {
    Request::get(path).body(Body::empty()).unwrap()
}

fn from(peer: &str) -> Request<Body> {
    let mut request = request("/");
    request.extensions_mut().insert(PeerAddr(peer.parse().unwrap()));
    request
}

async fn status(app: &Router, request: Request<Body>) -> u16 {
    app.clone().oneshot(request).await.unwrap().status().as_u16()
}

#[tokio::test(start_paused = true)]
async fn the_defaults_let_a_request_through_and_give_it_five_seconds() {
    let seconds = || async { Deadline::current().remaining().unwrap().as_secs_f64().to_string() };
    let app = Router::new().route("/", get(seconds)).layer(server::builder().build());
    let text = async |request: Request<Body>| {
        let body = app.clone().oneshot(request).await.unwrap().into_body();
        String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap()
    };
    assert_eq!(text(request("/")).await, "5");
    let mut hurried = request("/");
    hurried.headers_mut().insert("x-request-timeout-ms", "1500".parse().unwrap());
    assert_eq!(text(hurried).await, "1.5");
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_too_long_is_told_504_and_in_whichever_order_clients_lose_their_say() {
    let app = |builder: server::ServerBuilder| {
        Router::new().route("/", get(std::future::pending::<()>)).layer(builder.build())
    };
    let second = Duration::from_secs(1);
    let mut patient = request("/");
    patient.headers_mut().insert("x-request-timeout-ms", "0".parse().unwrap());
    let began = tokio::time::Instant::now();
    assert_eq!(status(&app(server::builder()), patient).await, 504);
    assert_eq!(began.elapsed(), Duration::ZERO);
    for builder in [
        server::builder().deadline(second).ignore_client_deadlines(),
        server::builder().ignore_client_deadlines().deadline(second),
    ] {
        let mut request = request("/");
        request.headers_mut().insert("x-request-timeout-ms", "0".parse().unwrap());
        let began = tokio::time::Instant::now();
        assert_eq!(status(&app(builder), request).await, 504);
        assert!(began.elapsed() >= second);
    }
}

#[tokio::test(start_paused = true)]
async fn each_client_has_its_rate_and_takes_no_place_beyond_it() {
    let builder = server::builder().rate_limit(Rate::per_second(1).burst(2));
    let handles = builder.handles();
    let app = Router::new().route("/", get(|| async {})).layer(builder.build());
    for _ in 0..2 {
        assert_eq!(status(&app, from("192.0.2.1:1")).await, 200);
    }
    let refused = app.clone().oneshot(from("192.0.2.1:2")).await.unwrap();
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(refused.headers().contains_key("retry-after"));
    assert_eq!(status(&app, from("192.0.2.2:1")).await, 200, "another client");
    assert_eq!(status(&app, request("/")).await, 200, "nobody knows whose it is");
    assert_eq!(handles.limit().stats().admitted, 4);
    assert_eq!(handles.rate_limits().stats().keys, 2);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(status(&app, from("192.0.2.1:3")).await, 200);
}

#[tokio::test(start_paused = true)]
async fn those_whose_address_nobody_says_share_one_rate() {
    let app = Router::new().route("/", get(|| async {}));
    let one_a_second = Rate::per_second(1).burst(1);
    let shared = app.clone().layer(server::builder().rate_limit(one_a_second).build());
    assert_eq!([status(&shared, request("/")).await, status(&shared, request("/")).await], [200, 429]);

    let rate = PerKeyLayer::new(key::client_ip(), RateLimitLayer::new(one_a_second)).without_key(Unkeyed::Bypass);
    let free = app.layer(server::builder().rate_limit_with(rate).build());
    assert_eq!([status(&free, request("/")).await, status(&free, request("/")).await], [200, 200]);
}

/// Over sockets, as axum serves: by its `ConnectInfo` each client has a rate, and without it all of them share one.
#[tokio::test]
async fn a_rate_for_each_client_holds_under_axums_own_server() {
    let peer = key::client_ip()
        .peer(|extensions| extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip()));
    // So slow that none comes back while the test runs.
    let rate = Rate::per(2, Duration::from_secs(3600)).burst(2);
    let app = Router::new().route("/", get(|| async {}));
    let by_peer = server::builder().rate_limit_by(peer, rate);
    let unaware = server::builder().rate_limit(rate);
    let (by_peer_handles, unaware_handles) = (by_peer.handles(), unaware.handles());
    for (app, handles, without_key) in
        [(app.clone().layer(by_peer.build()), by_peer_handles, 0), (app.layer(unaware.build()), unaware_handles, 4)]
    {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let service = app.into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(async move { axum::serve(listener, service).await });
        let mut codes = Vec::new();
        for _ in 0..4 {
            let request = Request::get(&url).body(http_body_util::Empty::<bytes::Bytes>::new()).unwrap();
            codes.push(donjon::transport().oneshot(request).await.unwrap().status().as_u16());
        }
        assert_eq!(codes, [200, 200, 429, 429]);
        assert_eq!(handles.rate_limits().stats().without_key, without_key);
    }
}

#[tokio::test(start_paused = true)]
async fn any_key_may_have_a_rate() {
    let builder = server::builder().rate_limit_by(key::api_key().hashed(), Rate::per_second(1).burst(1));
    let app = Router::new().route("/", get(|| async {})).layer(builder.build());
    let with = |key: &'static str| {
        let mut request = request("/");
        request.headers_mut().insert("x-api-key", key.parse().unwrap());
        request
    };
    let codes = [status(&app, with("a")).await, status(&app, with("a")).await, status(&app, with("b")).await];
    assert_eq!(codes, [200, 429, 200]);
}

#[tokio::test(start_paused = true)]
async fn the_limit_holds_as_route_layer_and_over_method_routers_in_whichever_order_it_was_set() {
    let builders = [
        server::builder().max_in_flight(1).queue(0).max_wait(Duration::ZERO),
        server::builder().max_wait(Duration::ZERO).queue(0).max_in_flight(1),
    ];
    for builder in builders {
        let handles = builder.handles();
        let layer = builder.build();
        let app = Router::new()
            .route("/a", get(std::future::pending::<()>))
            .route_layer(layer.clone())
            .route("/b", get(|| async {}).layer(layer));
        let running = tokio::spawn(app.clone().oneshot(request("/a")));
        while handles.limit().stats().in_flight == 0 {
            tokio::task::yield_now().await;
        }
        let refused = app.clone().oneshot(request("/b")).await.unwrap();
        assert_eq!((refused.status().as_u16(), &refused.headers()["retry-after"]), (503, &"1".parse().unwrap()));
        assert_eq!(status(&app, request("/no-such-route")).await, 404, "a route layer leaves it alone");
        running.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_excepted_needs_no_permit_and_no_token_and_has_the_deadline_all_the_same() {
    let builder = server::builder()
        .max_in_flight(1)
        .queue(0)
        .rate_limit(Rate::per_second(1).burst(1))
        .except(|request: &Request<Body>| request.uri().path().starts_with("/health"))
        .deadline(Duration::from_secs(2));
    let handles = builder.handles();
    let app = Router::new()
        .route("/", get(std::future::pending::<()>))
        .route("/health", get(|| async {}))
        .route("/health/deep", get(std::future::pending::<()>))
        .layer(builder.build());
    let running = tokio::spawn(app.clone().oneshot(from("192.0.2.1:1")));
    while handles.limit().stats().in_flight == 0 {
        tokio::task::yield_now().await;
    }
    let health = |path: &str| {
        let mut health = from("192.0.2.1:1");
        *health.uri_mut() = path.parse().unwrap();
        health
    };
    for _ in 0..5 {
        assert_eq!(status(&app, health("/health")).await, 200);
    }
    assert_eq!(status(&app, from("192.0.2.2:1")).await, 503, "the one permit is taken");
    assert_eq!(status(&app, from("192.0.2.1:1")).await, 429, "and so is this client's token");
    assert_eq!(status(&app, health("/health/deep")).await, 504);
    assert_eq!(handles.limit().stats().admitted, 1);
    running.abort();
}

#[tokio::test(start_paused = true)]
async fn the_server_s_cache_has_a_handle() {
    let calls = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&calls);
    let routes =
        Router::new().route("/", get(move || async move { count.fetch_add(1, Ordering::Relaxed).to_string() }));
    let builder = server::builder().cache(Duration::from_secs(60)).except(|_: &Request<Body>| false);
    let cache = builder.cache_handle();
    let app = routes.layer(builder.build());
    for _ in 0..3 {
        status(&app, request("/")).await;
    }
    assert_eq!((cache.stats().misses, cache.stats().hits, calls.load(Ordering::Relaxed)), (1, 2, 1));
    cache.invalidate_all();
    status(&app, request("/")).await;
    assert_eq!(calls.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn the_cache_is_on_request_and_a_hit_calls_no_handler() {
    let calls = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&calls);
    let routes =
        Router::new().route("/", get(move || async move { count.fetch_add(1, Ordering::Relaxed).to_string() }));
    let app = routes.clone().layer(server::builder().cache(Duration::from_secs(60)).build());
    for _ in 0..3 {
        let body = app.clone().oneshot(request("/")).await.unwrap().into_body();
        assert_eq!(body.collect().await.unwrap().to_bytes(), "0");
    }
    assert_eq!(calls.load(Ordering::Relaxed), 1);
    let mut private = request("/");
    private.headers_mut().insert("authorization", "Bearer 1".parse().unwrap());
    status(&app, private).await;
    assert_eq!(calls.load(Ordering::Relaxed), 2, "never shared");

    let app = routes.layer(server::builder().build());
    for _ in 0..2 {
        status(&app, request("/")).await;
    }
    assert_eq!(calls.load(Ordering::Relaxed), 4, "nothing is kept unless asked for");
}

#[tokio::test]
async fn it_serves_over_sockets() {
    let builder = server::builder().render(donjon::http::respond::Plain).retry_after(Some(Duration::from_secs(7)));
    let handles = builder.handles();
    let app = Router::new().route("/", get(|| async { "hello" })).layer(builder.build());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    handles.limit().set_max(0).unwrap();
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let (mut send, connection) =
        hyper::client::conn::http1::handshake(hyper_util::rt::TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let ask = || Request::get("/").header("host", "localhost").body(Body::empty()).unwrap();
    let refused = send.send_request(ask()).await.unwrap();
    assert_eq!((refused.status().as_u16(), &refused.headers()["retry-after"]), (503, &"7".parse().unwrap()));
    assert_eq!(refused.into_body().collect().await.unwrap().to_bytes(), "overloaded\n");
    handles.limit().set_max(1).unwrap();
    send.ready().await.unwrap();
    assert_eq!(send.send_request(ask()).await.unwrap().status(), 200);
}
