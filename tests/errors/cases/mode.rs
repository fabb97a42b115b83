use donjon_concurrency_limit::ConcurrencyLimitLayer;
use donjon_core::{CallError, check_service};
use tower::{ServiceBuilder, service_fn};

fn main() {
    let service = service_fn(|request: u64| async move { Ok::<u64, CallError>(request) });
    let stack = ServiceBuilder::new().layer(ConcurrencyLimitLayer::http(8)).service(service);
    check_service::<u64>(&stack);
}
