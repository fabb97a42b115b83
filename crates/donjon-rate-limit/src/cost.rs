/// How many tokens a request costs.
///
/// Any closure `Fn(&Req) -> u64` is one. What costs nothing passes whenever the limit admits anything at all; what costs
/// more than the burst is refused for good, and told so: its refusal says no time to come back.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot say what a request `{Req}` costs",
    label = "not a cost of these requests",
    note = "a cost is a closure `Fn(&Req) -> u64` with its argument type written out"
)]
pub trait Cost<Req> {
    /// What this request costs.
    fn cost(&self, request: &Req) -> u64;
}

/// Each request costs one token.
#[derive(Clone, Copy, Debug, Default)]
pub struct One;

// ===== impl One =====

impl<Req> Cost<Req> for One {
    #[inline]
    fn cost(&self, _: &Req) -> u64 {
        1
    }
}

impl<F, Req> Cost<Req> for F
where
    F: Fn(&Req) -> u64,
{
    fn cost(&self, request: &Req) -> u64 {
        self(request)
    }
}
