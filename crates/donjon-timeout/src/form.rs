use std::time::Duration;

use donjon_core::{Deadline, Scope};
use tokio::time::Instant;

use crate::shared::Ticket;

/// The form for any request: nothing is read of the request, and the time ends with the response.
#[derive(Clone, Copy, Debug, Default)]
pub struct Any;

/// How a layer meets its requests: [`Any`] or, with the feature `http`, `Http`. Sealed.
#[diagnostic::on_unimplemented(
    message = "the form `{Self}` does not fit a request `{Req}`",
    note = "`DeadlineLayer::new` and `TimeoutLayer::new` take any request, `::http` takes an `http::Request`"
)]
pub trait Form<Req>: sealed::Read<Req> {}

impl<M: sealed::Read<Req>, Req> Form<Req> for M {}

/// How a layer hands on its responses: [`Any`] or, with the feature `http`, `Http`. Sealed.
#[diagnostic::on_unimplemented(
    message = "the form `{Self}` does not fit a response `{Res}`",
    note = "`DeadlineLayer::new` and `TimeoutLayer::new` take any response, `::http` takes an `http::Response`"
)]
pub trait Finish<Res> {
    /// The response as the caller sees it.
    type Response;

    /// Hands it on; `watch` is asked only where it is needed.
    #[doc(hidden)]
    fn finish(&self, res: Res, watch: impl FnOnce() -> Watch) -> Self::Response;
}

/// What one request asks for in place of the layer's setting.
#[derive(Debug)]
pub struct Terms {
    /// Replaces the layer's timeout; `None` is never.
    pub(crate) timeout: Option<Duration>,
    pub(crate) deadline: Deadline,
}

/// What a body needs to know of the time that its call had.
#[derive(Debug)]
#[cfg_attr(not(feature = "http"), expect(dead_code, reason = "only the form for HTTP follows a body"))]
pub struct Watch {
    pub(crate) scope: Option<Scope>,
    pub(crate) until: Option<Instant>,
    pub(crate) ticket: Ticket,
}

pub(crate) mod sealed {
    use std::time::Duration;

    use super::Terms;

    #[diagnostic::on_unimplemented(
        message = "the form `{Self}` does not fit a request `{Req}`",
        note = "`DeadlineLayer::new` and `TimeoutLayer::new` take any request, `::http` takes an `http::Request`"
    )]
    pub trait Read<Req> {
        /// The terms of a deadline over this request, where the layer's own is `timeout`.
        fn deadline(&self, req: &Req, timeout: Option<Duration>) -> Terms;

        /// The timeout of this attempt, where the layer's own is `timeout`.
        fn attempt(&self, req: &Req, timeout: Option<Duration>) -> Option<Duration>;
    }
}

// ===== impl Any =====

impl<Req> sealed::Read<Req> for Any {
    fn deadline(&self, _: &Req, timeout: Option<Duration>) -> Terms {
        Terms { timeout, deadline: Deadline::never() }
    }

    fn attempt(&self, _: &Req, timeout: Option<Duration>) -> Option<Duration> {
        timeout
    }
}

impl<Res> Finish<Res> for Any {
    type Response = Res;

    fn finish(&self, res: Res, _: impl FnOnce() -> Watch) -> Res {
        res
    }
}
