use donjon_coalesce::CoalesceLayer;
use donjon_core::{CallError, check_service};
use tower::{ServiceBuilder, service_fn};

fn main() {
    let service = service_fn(|request: u64| async move { Ok::<u64, CallError>(request) });
    let stack = ServiceBuilder::new().layer(CoalesceLayer::new(|name: &String| Some(name.clone()))).service(service);
    check_service::<u64>(&stack);
}
