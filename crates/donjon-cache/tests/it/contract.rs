//! The laws that hold for every layer.

use std::time::Duration;

use donjon_cache::CacheLayer;
use donjon_core::Fresh;
use donjon_test::{Number, contract::Contract};

use crate::support::by_number;

#[test]
fn a_cache_keeps_the_laws() {
    Contract::new().check_fresh_over(Number, by_number).unwrap();
}

#[test]
fn what_has_no_key_keeps_the_laws() {
    Contract::new().check_fresh_over(Number, || CacheLayer::new(|_: &u64| None::<u64>)).unwrap();
    Contract::new().check_fresh_over(Number, || by_number().bypass()).unwrap();
}

#[test]
fn a_cache_that_stores_nothing_or_for_no_time_keeps_the_laws() {
    Contract::new().scripts(16).check_fresh_over(Number, || by_number().capacity(0)).unwrap();
    Contract::new().scripts(16).check_fresh_over(Number, || by_number().ttl(Duration::ZERO)).unwrap();
}

#[test]
fn a_cache_with_stale_answers_and_refreshes_keeps_the_laws() {
    let hour = Duration::from_secs(3600);
    let layer = || by_number().stale_while_revalidate(hour).stale_if_error(hour).refresh_ahead();
    Contract::new().check_fresh_over(Number, layer).unwrap();
}

#[cfg(feature = "http")]
#[test]
fn a_cache_of_http_keeps_the_laws() {
    use donjon_test::{Http, Streaming};

    Contract::new().check_fresh_over(Http::get(), CacheLayer::http).unwrap();
    // Without a key.
    Contract::new().scripts(16).check_fresh_over(Http::default(), CacheLayer::http).unwrap();
    Contract::new().scripts(16).check_fresh_over(Streaming::new(), CacheLayer::http).unwrap();
    // Every body is over the cap.
    Contract::new().scripts(16).check_fresh_over(Http::get(), || CacheLayer::http().body_cap(0)).unwrap();
}
