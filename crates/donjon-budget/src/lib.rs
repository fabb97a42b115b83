//! How long to wait before a retry, and how much extra load to add: backoff, jitter and retry budgets.
