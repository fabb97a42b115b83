//! Bound what is in flight: a tower concurrency limit with a bounded, deadline-aware queue.
