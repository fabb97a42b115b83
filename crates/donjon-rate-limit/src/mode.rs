use donjon_core::Rejection;

use crate::Standing;

/// What of the limit's standing goes into responses and refusals.
///
/// [`Any`] says nothing, whatever the response is. `Http` (feature `http`) adds fields.
pub trait Mode {
    /// What a call keeps until it has answered.
    type Note;

    /// What a call keeps of how the limit stood when it was decided: `None` where nothing was limited.
    fn note(&self, standing: Option<Standing>) -> Self::Note;
}

/// What a call has kept: it is put into a response of type `Res`, or into a refusal.
#[diagnostic::on_unimplemented(
    message = "a rate limit with `{Self}` does not know responses `{Res}`",
    label = "not a mode for these responses",
    note = "`RateLimitLayer::http(rate)` needs a service of `http::Response<_>`",
    note = "`RateLimitLayer::new(rate)` takes any request and any response"
)]
pub trait Note<Res> {
    /// The call has answered.
    fn answered(self, response: &mut Res);

    /// The call was refused.
    fn refused(self, rejection: Rejection) -> Rejection;
}

/// Any response; nothing is added.
#[derive(Clone, Copy, Debug, Default)]
pub struct Any;

/// Nothing is kept. The note of [`Any`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Nothing;

// ===== impl Any =====

impl Mode for Any {
    type Note = Nothing;

    #[inline]
    fn note(&self, _: Option<Standing>) -> Nothing {
        Nothing
    }
}

impl<Res> Note<Res> for Nothing {
    #[inline]
    fn answered(self, _: &mut Res) {}

    fn refused(self, rejection: Rejection) -> Rejection {
        rejection
    }
}
