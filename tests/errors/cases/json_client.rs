use donjon_concurrency_limit::ConcurrencyLimitLayer;
use donjon_core::BoxError;
use donjon_json::JsonClient;
use http_body_util::Full;
use tower::{ServiceBuilder, service_fn};

fn main() {
    let client = service_fn(|_: http::Request<Full<bytes::Bytes>>| async {
        Ok::<_, BoxError>(http::Response::new(Full::<bytes::Bytes>::default()))
    });
    let stack = ServiceBuilder::new().layer(ConcurrencyLimitLayer::http(8)).service(client);
    let _ = JsonClient::new(stack).get("/users/42").send::<String>();
}
