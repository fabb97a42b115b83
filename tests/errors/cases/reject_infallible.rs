use std::convert::Infallible;

use bytes::Bytes;
use donjon_concurrency_limit::ConcurrencyLimitLayer;
use donjon_core::check_service;
use http::{Request, Response};
use http_body_util::Full;
use tower::{ServiceBuilder, service_fn};

fn main() {
    let handler = service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())) });
    let app = ServiceBuilder::new().layer(ConcurrencyLimitLayer::http(8)).service(handler);
    check_service::<Request<()>>(&app);
}
