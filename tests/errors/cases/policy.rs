use donjon_core::{CallError, check_service};
use donjon_retry::RetryLayer;
use tower::{ServiceBuilder, service_fn};

#[derive(Clone)]
struct ThreeTimes;

fn main() {
    let service = service_fn(|request: u64| async move { Ok::<u64, CallError>(request) });
    let stack = ServiceBuilder::new().layer(RetryLayer::new(ThreeTimes)).service(service);
    check_service::<u64>(&stack);
}
