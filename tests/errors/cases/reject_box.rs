use donjon_concurrency_limit::ConcurrencyLimitLayer;
use donjon_core::{BoxError, check_service};
use tower::{ServiceBuilder, service_fn};

fn main() {
    let client = service_fn(|request: u64| async move { Ok::<u64, BoxError>(request) });
    let stack = ServiceBuilder::new().layer(ConcurrencyLimitLayer::new(8)).service(client);
    check_service::<u64>(&stack);
}
