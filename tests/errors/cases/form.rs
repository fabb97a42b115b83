use std::time::Duration;

use donjon_core::{CallError, check_service};
use donjon_timeout::DeadlineLayer;
use tower::{ServiceBuilder, service_fn};

fn main() {
    let service = service_fn(|request: u64| async move { Ok::<u64, CallError>(request) });
    let stack = ServiceBuilder::new().layer(DeadlineLayer::http(Duration::from_secs(5))).service(service);
    check_service::<u64>(&stack);
}
