//! The laws that hold for every layer.

use donjon_coalesce::CoalesceLayer;
use donjon_core::Fresh;
use donjon_test::{
    Number,
    contract::{self, Contract},
};

use crate::support::by_number;

type ByUri = fn(&http::Request<http_body_util::Full<bytes::Bytes>>) -> Option<http::Uri>;

fn by_uri() -> CoalesceLayer<ByUri> {
    CoalesceLayer::new(|request| Some(request.uri().clone()))
}

#[test]
fn coalescing_keeps_the_laws() {
    contract::check_fresh(by_uri).unwrap();
    Contract::new().check_fresh_over(Number, by_number).unwrap();
}

#[test]
fn what_has_no_key_keeps_the_laws() {
    Contract::new().check_fresh_over(Number, || CoalesceLayer::new(|_: &u64| None::<u64>)).unwrap();
    Contract::new().check_fresh_over(Number, || by_number().bypass()).unwrap();
}

#[cfg(feature = "http")]
#[test]
fn coalescing_by_the_rules_of_http_keeps_the_laws() {
    Contract::new().check_fresh_over(donjon_test::Http::get(), CoalesceLayer::http).unwrap();
    // Without a key.
    Contract::new().scripts(8).check_fresh(CoalesceLayer::http).unwrap();
}

#[test]
fn a_bound_on_followers_keeps_the_laws() {
    Contract::new().scripts(16).check_fresh_over(Number, || by_number().max_followers(0)).unwrap();
}
