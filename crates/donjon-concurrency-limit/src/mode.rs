use crate::{HeldPermit, Permit};

/// How long a call keeps its permit, once its response is there: what [`ConcurrencyLimit`](crate::ConcurrencyLimit)
/// does with a response of type `Res` to a request of type `Req`.
///
/// [`Any`] gives the permit back at once, whatever the response is. `Http` (feature `http`) puts it into the body of an
/// HTTP response. A response of your own that goes on after the call, such as a stream of messages, can carry the
/// permit too:
///
/// ```
/// use donjon_concurrency_limit::{ConcurrencyLimitLayer, Mode, Permit};
///
/// /// The lines of an answer; the call is in flight until they have been read, or dropped.
/// struct Lines {
///     lines: Vec<String>,
///     permit: Option<Permit>,
/// }
///
/// impl Iterator for Lines {
///     type Item = String;
///     fn next(&mut self) -> Option<String> {
///         let line = self.lines.pop();
///         if line.is_none() {
///             self.permit = None;
///         }
///         line
///     }
/// }
///
/// #[derive(Clone, Copy, Debug)]
/// struct ToTheLastLine;
///
/// impl<Req> Mode<Req, Lines> for ToTheLastLine {
///     type Response = Lines;
///     fn finish(&self, mut response: Lines, permit: Option<Permit>) -> Lines {
///         response.permit = permit;
///         response
///     }
/// }
///
/// let layer = ConcurrencyLimitLayer::with_mode(8, ToTheLastLine);
/// ```
#[diagnostic::on_unimplemented(
    message = "a concurrency limit in the mode `{Self}` does not know requests `{Req}` with responses `{Res}`",
    label = "not a mode for these requests and responses",
    note = "`ConcurrencyLimitLayer::http(n)` needs a service of `http::Request<_>` with `http::Response<B>`, where `B: http_body::Body`",
    note = "`ConcurrencyLimitLayer::new(n)` takes any request and any response"
)]
pub trait Mode<Req, Res> {
    /// What the caller gets.
    type Response;

    /// The request has been admitted, and is about to go in. `hold` shares its permit ([`Permit::share`]); it gives
    /// one that holds nothing if the limit lets everything through. Does nothing, unless a mode says otherwise.
    fn admitted(&self, request: &mut Req, hold: impl FnOnce() -> HeldPermit) {
        let _ = (request, hold);
    }

    /// The call has succeeded. Dropping the permit gives it back; `None` if the limit lets everything through (see
    /// [`Fresh::bypass`](donjon_core::Fresh::bypass)).
    fn finish(&self, response: Res, permit: Option<Permit>) -> Self::Response;
}

/// Any request, any response; the permit is given back when the response is there.
#[derive(Clone, Copy, Debug, Default)]
pub struct Any;

// ===== impl Any =====

impl<Req, Res> Mode<Req, Res> for Any {
    type Response = Res;

    fn finish(&self, response: Res, permit: Option<Permit>) -> Res {
        drop(permit);
        response
    }
}
