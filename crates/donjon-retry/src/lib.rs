//! Call again: a tower retry layer with budget, jitter, Retry-After, idempotency and deadline.
