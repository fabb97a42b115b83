//! What a layer says when its state changes.

use std::fmt;

/// A layer's state has changed: `what` of it is now `to`.
///
/// With the feature `tracing` this is an event of level `INFO` and target `donjon`, with the fields `layer`, `what` and `to`;
/// without, it is nothing. For changes of a state that lasts (a breaker that closes, a limit that is turned), and never for
/// each call. Call it while no lock is held: a subscriber is foreign code.
pub fn state_changed(layer: &'static str, what: &'static str, to: impl fmt::Display) {
    #[cfg(feature = "tracing")]
    tracing::info!(target: "donjon", layer, what, %to, "state changed");
    #[cfg(not(feature = "tracing"))]
    let _ = (layer, what, to);
}

/// A layer's state has changed for the worse: as [`state_changed`], with level `WARN`. A breaker that opens, a budget that
/// is used up.
pub fn state_worsened(layer: &'static str, what: &'static str, to: impl fmt::Display) {
    #[cfg(feature = "tracing")]
    tracing::warn!(target: "donjon", layer, what, %to, "state changed");
    #[cfg(not(feature = "tracing"))]
    let _ = (layer, what, to);
}
