use std::time::Duration;

/// How long one request may take, in place of what the deadline layer says: put it into the request's extensions. It
/// may be longer than the layer's own; a deadline that is ambient where the call is made holds all the same.
///
/// Read by [`DeadlineLayer::http`](crate::DeadlineLayer::http). Where an instant is at hand, put a
/// [`Deadline`](donjon_core::Deadline) into the extensions instead; of the two the earlier one holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestTimeout(pub Duration);

/// How long each attempt of one request may take, in place of what the timeout layer says: put it into the request's
/// extensions. Read by [`TimeoutLayer::http`](crate::TimeoutLayer::http).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttemptTimeout(pub Duration);
