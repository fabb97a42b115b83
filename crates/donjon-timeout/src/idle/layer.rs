use std::{sync::Arc, time::Duration};

use donjon_core::Fresh;
use tower_layer::Layer;

use super::{IdleTimeout, RequestIdleTimeout};
use crate::{
    TimeoutHandle,
    shared::{Kind, Shared},
};

/// Ends a response body that is silent for too long: for streams that may go on for ever as long as they go on.
///
/// The time counts from when a read of the body found nothing, to the next frame; the wait for the first frame is one
/// of them, the wait for the response head is not. The type of the response body changes to
/// [`IdleBody`](crate::IdleBody).
///
/// Each duration means something: with zero a read that finds nothing is an error at once; [`Duration::MAX`] (and all
/// that is longer than 584 years) is never.
///
/// # Errors
///
/// The read fails with an [`AttemptTimeout`](donjon_core::RejectionKind::AttemptTimeout) of the layer `idle-timeout`,
/// in phase `Body`.
#[derive(Clone, Debug)]
#[must_use]
pub struct IdleTimeoutLayer {
    shared: Arc<Shared>,
    on: bool,
}

/// The same as [`IdleTimeoutLayer`] for the bodies of requests: for a server whose clients send and then fall silent.
///
/// The inner service takes an `http::Request<IdleBody<B>>`.
#[derive(Clone, Debug)]
#[must_use]
pub struct RequestIdleTimeoutLayer {
    shared: Arc<Shared>,
    on: bool,
}

macro_rules! idle_layer {
    ($Layer:ident, $Service:ident) => {
        impl $Layer {
            /// At most `timeout` between two frames.
            pub fn new(timeout: Duration) -> Self {
                Self { shared: Shared::new(Kind::Idle, Some(timeout)), on: true }
            }

            /// The operator's end: stats, and the timeout while running.
            #[must_use]
            pub fn handle(&self) -> TimeoutHandle {
                TimeoutHandle::new(Arc::clone(&self.shared))
            }
        }

        impl Fresh for $Layer {
            fn fresh(&self) -> Self {
                Self { shared: self.shared.fresh(), on: self.on }
            }

            fn bypass(&self) -> Self {
                Self { shared: self.shared.fresh(), on: false }
            }
        }

        impl<S> Layer<S> for $Layer {
            type Service = $Service<S>;

            fn layer(&self, inner: S) -> Self::Service {
                $Service::new(inner, Arc::clone(&self.shared), self.on)
            }
        }
    };
}

// ===== impl IdleTimeoutLayer, RequestIdleTimeoutLayer =====

idle_layer! { IdleTimeoutLayer, IdleTimeout }
idle_layer! { RequestIdleTimeoutLayer, RequestIdleTimeout }
