//! Send, Sync and Clone follow the inner service, and a concrete stack can be spawned.

use std::{convert::Infallible, future::Ready, marker::PhantomData, rc::Rc};

use donjon_core::{CallError, Reject, Rejection};
use donjon_timeout::{
    Any, DeadlineFuture, DeadlineLayer, Timeout, TimeoutFuture, TimeoutHandle, TimeoutLayer, WithDeadline,
};
use tower::{Layer, Service, ServiceExt, service_fn, util::option_layer};

use crate::support::secs;

type Local = Rc<()>;
type Call = Ready<Result<u64, Infallible>>;

/// Whether `T` is Send: where it is, the inherent answer hides that of the trait.
struct IsSend<T>(PhantomData<T>);

trait Otherwise {
    const ANSWER: bool = false;
}

impl<T> Otherwise for IsSend<T> {}

impl<T: Send> IsSend<T> {
    const ANSWER: bool = true;
}

fn all<T: Clone + Send + Sync + std::fmt::Debug + 'static>() {}
fn sync<T: Sync>() {}

#[test]
fn the_types_follow_the_inner_service() {
    all::<DeadlineLayer>();
    all::<TimeoutLayer>();
    all::<TimeoutHandle>();
    all::<WithDeadline<u64>>();
    all::<Timeout<u64>>();
    sync::<DeadlineFuture<u64, u64, Call, Any>>();
    sync::<TimeoutFuture<Call, Any>>();
    const {
        assert!(IsSend::<WithDeadline<u64>>::ANSWER && !IsSend::<WithDeadline<Local>>::ANSWER);
        assert!(IsSend::<Timeout<u64>>::ANSWER && !IsSend::<Timeout<Local>>::ANSWER);
        assert!(IsSend::<DeadlineFuture<u64, u64, Call, Any>>::ANSWER);
        assert!(!IsSend::<DeadlineFuture<u64, Local, Call, Any>>::ANSWER);
        assert!(IsSend::<TimeoutFuture<Call, Any>>::ANSWER);
        assert!(!IsSend::<TimeoutFuture<Ready<Local>, Any>>::ANSWER);
    }
}

#[cfg(feature = "http")]
#[test]
fn the_types_for_http_follow_what_they_hold() {
    use donjon_timeout::{Http, IdleBody, IdleTimeout, PropagateDeadline, RequestIdleTimeout, TimedBody};
    all::<DeadlineLayer<Http>>();
    all::<TimeoutLayer<Http>>();
    all::<IdleTimeout<u64>>();
    all::<RequestIdleTimeout<u64>>();
    all::<PropagateDeadline<u64>>();
    sync::<TimedBody<u64>>();
    sync::<IdleBody<u64>>();
    const {
        assert!(IsSend::<TimedBody<u64>>::ANSWER && !IsSend::<TimedBody<Local>>::ANSWER);
        assert!(IsSend::<IdleBody<u64>>::ANSWER && !IsSend::<IdleBody<Local>>::ANSWER);
    }
}

/// A user's own error type.
#[derive(Debug)]
enum AppError {
    Refused(Rejection),
    Other(std::io::Error),
}

impl Reject for AppError {
    fn from_rejection(rejection: Rejection) -> Self {
        Self::Refused(rejection)
    }

    fn as_rejection(&self) -> Option<&Rejection> {
        match self {
            Self::Refused(rejection) => Some(rejection),
            Self::Other(_) => None,
        }
    }

    fn as_error(&self) -> &(dyn std::error::Error + 'static) {
        match self {
            Self::Refused(rejection) => rejection,
            Self::Other(error) => error,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_concrete_generic_stack_can_be_spawned() {
    async fn spawned<S, E>(inner: S) -> Result<u64, E>
    where
        S: Service<u64, Response = u64, Error = E, Future: Send> + Clone + Send + 'static,
        E: Reject + Send + std::fmt::Debug + 'static,
    {
        let stack = DeadlineLayer::new(secs(5)).layer(TimeoutLayer::new(secs(1)).layer(inner));
        tokio::spawn(async move { stack.oneshot(1).await }).await.expect("no panic")
    }
    assert_eq!(spawned(service_fn(|n: u64| async move { Ok::<_, CallError>(n) })).await.expect("it answers"), 1);
    let error = spawned(service_fn(|_: u64| std::future::pending::<Result<u64, AppError>>())).await;
    assert!(error.expect_err("it hangs").as_rejection().is_some());
    let error = spawned(service_fn(|_: u64| async { Err(AppError::Other(std::io::Error::other("own"))) })).await;
    assert!(error.expect_err("it fails").as_rejection().is_none());
}

#[cfg(feature = "http")]
#[tokio::test(start_paused = true)]
async fn a_concrete_stack_for_http_can_be_spawned() {
    use bytes::Bytes;
    use donjon_timeout::{IdleTimeoutLayer, PropagateDeadlineLayer};
    use http::{Request, Response};
    use http_body_util::{BodyExt, Full};

    let inner = service_fn(|_: Request<Full<Bytes>>| async {
        Ok::<_, CallError>(Response::new(Full::new(Bytes::from_static(b"whole"))))
    });
    let stack = PropagateDeadlineLayer::new().layer(inner);
    let stack = IdleTimeoutLayer::new(secs(1)).layer(TimeoutLayer::http(secs(1)).layer(stack));
    let stack = DeadlineLayer::http(secs(5)).layer(stack);
    let body = tokio::spawn(async move {
        let response = stack.oneshot(Request::new(Full::new(Bytes::new()))).await.expect("it answers");
        response.into_body().collect().await.expect("it is whole").to_bytes()
    });
    assert_eq!(body.await.expect("no panic"), "whole");
}

#[tokio::test(start_paused = true)]
async fn a_layer_can_be_optional() {
    let inner = service_fn(|n: u64| async move { Ok::<_, CallError>(n) });
    for layer in [Some(TimeoutLayer::new(secs(1))), None] {
        let service = option_layer(layer).layer(inner);
        assert_eq!(service.oneshot(3).await.expect("it answers"), 3);
    }
}
