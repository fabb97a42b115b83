use donjon_core::{CallError, check_service};
use donjon_retry::{RetryLayer, Standard};
use tower::{ServiceBuilder, service_fn};

struct Query;

fn main() {
    let service = service_fn(|_: Query| async { Ok::<u64, CallError>(1) });
    let stack = ServiceBuilder::new().layer(RetryLayer::new(Standard::new())).service(service);
    check_service::<Query>(&stack);
}
