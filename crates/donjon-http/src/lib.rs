//! HTTP's words for donjon: classification, idempotency, replayable and guarded bodies, responses for refusals.
