//! What a retry makes of the refusals of other layers.

use donjon::{CallError, Rate, RateLimitLayer, RetryLayer, retry};
use tower::{Layer, ServiceExt, service_fn};

#[tokio::test(start_paused = true)]
async fn what_a_rate_has_refused_for_good_is_not_tried_again() {
    let retry = RetryLayer::new(retry::Standard::new()).max_attempts(4);
    let rate = RateLimitLayer::new(Rate::per_second(1).burst(1)).cost(|_: &u64| 2);
    let service = retry.layer(rate.layer(service_fn(async |n: u64| Ok::<_, CallError>(n))));
    service.oneshot(1).await.expect_err("it costs more than there can ever be");
    assert_eq!((rate.handle().stats().refused, retry.handle().stats().retries), (1, 0));
}
