use std::rc::Rc;

use donjon_core::{CallError, check_service};
use tower::service_fn;

fn main() {
    let service = service_fn(|request: u64| {
        let kept = Rc::new(request);
        async move {
            std::future::ready(()).await;
            Ok::<u64, CallError>(*kept)
        }
    });
    check_service::<u64>(&service);
}
