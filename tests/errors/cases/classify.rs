use donjon_core::{CallError, Outcome, check_service};
use donjon_retry::RetryLayer;
use tower::{ServiceBuilder, service_fn};

fn main() {
    let service = service_fn(|request: u64| async move { Ok::<u64, CallError>(request) });
    let always = |_: Result<&String, &CallError>| Outcome::Success;
    let stack = ServiceBuilder::new().layer(RetryLayer::default().classify(always)).service(service);
    check_service::<u64>(&stack);
}
