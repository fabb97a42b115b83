use tower_service::Service;

/// Compiles if `service` answers requests of type `Req`, and can be shared and spawned as a stack of layers is; and
/// else says which bound fails. Does nothing when it runs.
///
/// Where a stack does not fit together, a method such as `.oneshot(..)` or `.ready()` is only said not to exist. Asked by
/// this function, the compiler names what is missing, and the note that comes with it says what to write. The page of
/// [errors and their fixes] has the usual ones.
///
/// It asks for `Service<Req>` with a future that is `Send`, and for `Clone` and `Send`: all that servers, a
/// `JsonClient` and `tokio::spawn` want of a stack.
///
/// [errors and their fixes]: https://docs.rs/donjon/latest/donjon/errors/index.html
///
/// # Example
///
/// ```
/// use donjon_core::{CallError, check_service};
/// use tower::{ServiceBuilder, service_fn};
///
/// let stack = ServiceBuilder::new()
///     .map_err(CallError::from)
///     .service(service_fn(|request: u64| async move { Ok::<_, std::io::Error>(2 * request) }));
/// check_service::<u64>(&stack);
/// ```
///
/// A stack for other requests does not compile:
///
/// ```compile_fail,E0277
/// # use donjon_core::check_service;
/// # use tower::service_fn;
/// let stack = service_fn(|request: u64| async move { Ok::<_, std::io::Error>(2 * request) });
/// check_service::<String>(&stack);
/// ```
pub fn check_service<Req>(service: &(impl Service<Req, Future: Send> + Clone + Send)) {
    let _ = service;
}
