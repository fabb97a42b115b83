//! Layers around the client, and layers around the connector: which of the two a limit, a timeout or a retry belongs to.
//! A page of documentation; there is no code here.
//!
//! A tower layer goes around any service, and a client has two of them: the **client** (`Service<http::Request<B>>`, a
//! call), and inside of it the **connector** (`Service<Uri>`, a connection). Between the two is the pool.
//!
//! ```text
//! Request ─▶ client layers ─▶ pool ─▶ (no idle connection) ─▶ connector layers ─▶ connector ─▶ socket
//!            once a call, or           └▶ an idle one: no connector is called
//!            once an attempt
//! ```
//!
//! | What is meant | Around the client | Around the connector |
//! |---|---|---|
//! | timeout | of a call or an attempt: connecting, sending, answering | of connecting alone; an idle connection never meets it |
//! | concurrency limit | calls in flight, over new and idle connections | *handshakes* under way: the permit ends when the connection is there. It bounds no open connections ([`connections_per_host`](crate::TransportBuilder::connections_per_host) does) |
//! | retry | of calls, by status and error, within the budget | of connecting, before anything was sent; it multiplies with the one outside, so have one of the two |
//! | circuit breaker | sees answers | sees only whether a port accepts: a server that answers 500 to everything looks well |
//! | rate limit | calls per second | new connections per second: a storm of reconnections |
//! | deadline | opens the scope | only reads it: connecting runs in the poll of the call that wants it |
//!
//! So nearly everything goes around the client. What goes around the connector is what is about *connecting*: a timeout
//! for it, a bound on handshakes at once, a proxy or a tunnel, the counting of sockets.
//!
//! Three things to know of connector layers:
//!
//! - **A connection may outlive the call that asked for it**, or be given to another one: hyper-util races a new connection
//!   against the pool, and when an idle one wins, connecting goes on in the background. A refusal in there is seen by
//!   nobody, and a permit is held until it has connected. This crate's own [`Transport`](crate::Transport) bounds and
//!   ends connecting with that in mind.
//! - **An error of the connector is an error of the call**, inside of hyper-util's. A
//!   [`Rejection`](donjon_core::Rejection) is found there by every classifier, and any other error of connecting counts as
//!   not sent: any method may be sent again.
//! - **hyper-util wants a connector whose future is `Unpin`.** The futures of these layers are not, so a stack of
//!   connector layers is boxed once, in tower's `BoxCloneSyncService`; that is one allocation for a connection, not for a call.
//!
//! # hyper-util's legacy client
//!
//! ```
//! use std::time::Duration;
//! use bytes::Bytes;
//! use donjon_concurrency_limit::ConcurrencyLimitLayer;
//! use donjon_core::CallError;
//! use donjon_retry::RetryLayer;
//! use donjon_timeout::{DeadlineLayer, TimeoutLayer};
//! use http_body_util::Full;
//! use hyper_util::{client::legacy::{Client, connect::HttpConnector}, rt::TokioExecutor};
//! use tower::{ServiceBuilder, util::BoxCloneSyncService};
//!
//! // Around the connector: at most 8 handshakes at once, each within a second.
//! let connector = BoxCloneSyncService::new(
//!     ServiceBuilder::new()
//!         .layer(ConcurrencyLimitLayer::new(8).queue(64))
//!         .layer(TimeoutLayer::new(Duration::from_secs(1)))
//!         .map_err(CallError::from)
//!         .service(HttpConnector::new()),
//! );
//! let client = Client::builder(TokioExecutor::new())
//!     .retry_canceled_requests(false) // The retry layer does it, within its budget.
//!     .build::<_, Full<Bytes>>(connector);
//!
//! // Around the client: the call with its attempts.
//! let stack = ServiceBuilder::new()
//!     .layer(DeadlineLayer::new(Duration::from_secs(5)))
//!     .layer(RetryLayer::http())
//!     .layer(ConcurrencyLimitLayer::http(64).queue(128))
//!     .layer(TimeoutLayer::new(Duration::from_secs(2)))
//!     .map_err(CallError::from)
//!     .service(client);
//! # use tower::Service;
//! # fn is_service<S: Service<http::Request<Full<Bytes>>, Error = CallError> + Clone + Send>(_: S) {}
//! # is_service(stack);
//! ```
//!
//! # hyper-util's composable pools
//!
//! `hyper_util::client::pool` has the parts of a pool as services of services: a `cache` of connections of one origin, a
//! `map` from origin to cache. A connection taken out of it is a service, and whoever drops it gives it back. The layers
//! go around a service that takes a connection and calls it, and around the connector, as above; there is a third place
//! as well, around *each connection*, which the legacy client does not have.
//!
//! ```
//! use std::{future::Future, pin::Pin, sync::{Arc, Mutex}, task::{Context, Poll}, time::Duration};
//! use bytes::Bytes;
//! use donjon_concurrency_limit::ConcurrencyLimitLayer;
//! use donjon_core::CallError;
//! use donjon_retry::RetryLayer;
//! use donjon_timeout::TimeoutLayer;
//! use http::{Request, Response, Uri};
//! use http_body_util::{BodyExt, Full};
//! use hyper::{body::Incoming, client::conn::http1};
//! use hyper_util::{client::pool, rt::TokioIo};
//! use tokio::net::TcpStream;
//! use tower::{Service, ServiceBuilder, ServiceExt, service_fn, util::BoxCloneSyncService};
//!
//! /// One connection: what the pool keeps.
//! struct Connection(http1::SendRequest<Full<Bytes>>);
//!
//! impl Service<Request<Full<Bytes>>> for Connection {
//!     type Response = Response<Incoming>;
//!     type Error = hyper::Error;
//!     type Future = Pin<Box<dyn Future<Output = Result<Response<Incoming>, hyper::Error>> + Send>>;
//!
//!     fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
//!         self.0.poll_ready(cx)
//!     }
//!
//!     fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
//!         Box::pin(self.0.send_request(request))
//!     }
//! }
//!
//! async fn connect(to: Uri) -> Result<Connection, CallError> {
//!     let authority = to.authority().ok_or_else(|| CallError::new("a URL without a host"))?;
//!     let io = TcpStream::connect((authority.host(), authority.port_u16().unwrap_or(80))).await?;
//!     let (sender, connection) = http1::handshake(TokioIo::new(io)).await?;
//!     tokio::spawn(connection);
//!     Ok(Connection(sender))
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! # let url = format!("http://{}/", listener.local_addr()?);
//! # tokio::spawn(async move {
//! #     let (io, _) = listener.accept().await.unwrap();
//! #     let answer = hyper::service::service_fn(|_| async {
//! #         Ok::<_, std::convert::Infallible>(Response::new(Full::<Bytes>::from("hello")))
//! #     });
//! #     let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(io), answer).await;
//! # });
//! // Around the connector: one layer value, and so one bound over all origins.
//! let connector = BoxCloneSyncService::new(
//!     ServiceBuilder::new()
//!         .layer(ConcurrencyLimitLayer::new(8).queue(64))
//!         .layer(TimeoutLayer::new(Duration::from_secs(1)))
//!         .service(service_fn(connect)),
//! );
//! let origins = pool::map::Map::builder::<Uri>()
//!     .keys(|uri: &Uri| uri.authority().cloned())
//!     .values(move |_: &Uri| pool::cache::builder().build::<_, Uri>(connector.clone()))
//!     .build();
//! let origins = Arc::new(Mutex::new(origins));
//!
//! // Takes a connection out of the pool, calls it, gives it back.
//! let client = service_fn(move |request: Request<Full<Bytes>>| {
//!     let uri = request.uri().clone();
//!     let connections = origins.lock().expect("no panic under the lock").service(&uri).clone();
//!     async move {
//!         let mut connection = connections.oneshot(uri).await?;
//!         connection.ready().await?;
//!         Ok::<_, CallError>(connection.call(request).await?)
//!     }
//! });
//!
//! // Around the client, as ever.
//! let stack = ServiceBuilder::new()
//!     .layer(RetryLayer::http())
//!     .layer(ConcurrencyLimitLayer::http(64).queue(128))
//!     .layer(TimeoutLayer::new(Duration::from_secs(2)))
//!     .service(client);
//! let host = url.parse::<Uri>()?.authority().expect("it has one").to_string();
//! for _ in 0..2 {
//!     // The second one goes over the connection of the first.
//!     let request = Request::get(&url).header("host", &host).body(Full::default())?;
//!     let response = stack.clone().oneshot(request).await.map_err(CallError::into_inner)?;
//!     assert_eq!(response.into_body().collect().await?.to_bytes(), "hello");
//! }
//! # Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
//! # }).unwrap();
//! ```
