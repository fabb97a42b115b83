//! The laws that hold for every layer.

use donjon_concurrency_limit::ConcurrencyLimitLayer;
use donjon_per_key::{ExceptLayer, PerKeyLayer, Unkeyed};
use donjon_test::{
    Number,
    contract::{self, Check, Contract},
};
use http::Request;

fn limit() -> ConcurrencyLimitLayer {
    ConcurrencyLimitLayer::new(3).queue(4)
}

fn one_key<R>(_: &R) -> Option<u8> {
    Some(1)
}

fn no_key<R>(_: &R) -> Option<u8> {
    None
}

#[test]
fn a_limit_of_one_key_keeps_the_laws() {
    contract::check_fresh(|| PerKeyLayer::new(one_key, limit())).unwrap();
    Contract::new().check_fresh_over(Number, || PerKeyLayer::new(one_key, limit())).unwrap();
    contract::check_fresh(|| PerKeyLayer::new(one_key, ConcurrencyLimitLayer::http(3).queue(4))).unwrap();
}

#[test]
fn a_key_for_each_request_keeps_the_laws() {
    let path = |request: &Request<_>| Some(request.uri().path().to_owned());
    contract::check_fresh(|| PerKeyLayer::new(path, limit()).max_keys(2)).unwrap();
    let number = |n: &u64| Some(*n);
    Contract::new().check_fresh_over(Number, || PerKeyLayer::new(number, limit())).unwrap();
}

#[test]
fn calls_without_a_key_keep_the_laws() {
    for unkeyed in [Unkeyed::Bypass, Unkeyed::Share] {
        contract::check_fresh(|| PerKeyLayer::new(no_key, limit()).without_key(unkeyed)).unwrap();
        contract::check_fresh(|| PerKeyLayer::new(one_key, limit()).max_keys(0).when_full(unkeyed)).unwrap();
    }
}

#[test]
fn refusals_keep_the_laws() {
    let refuses_all = || {
        Contract::new()
            .skip(Check::PassesThrough, "it refuses all")
            .skip(Check::ProgressOverReservations, "it answers none")
            .skip(Check::ErrorUnchanged, "nothing reaches the inner service, so it cannot fail")
    };
    refuses_all().check_fresh(|| PerKeyLayer::new(no_key, limit()).without_key(Unkeyed::Refuse)).unwrap();
    refuses_all().check_fresh(|| PerKeyLayer::new(one_key, limit()).max_keys(0)).unwrap();
}

#[test]
fn several_layers_for_each_key_keep_the_laws() {
    contract::check_fresh(|| PerKeyLayer::new(one_key, (limit(), limit()))).unwrap();
}

#[test]
fn a_layer_per_key_per_key_keeps_the_laws() {
    contract::check_fresh(|| PerKeyLayer::new(one_key, PerKeyLayer::new(one_key, limit()))).unwrap();
}

#[test]
fn a_layer_with_exceptions_keeps_the_laws() {
    contract::check_fresh(|| ExceptLayer::new(|_: &Request<_>| true, limit())).unwrap();
    contract::check_fresh(|| ExceptLayer::new(|_: &Request<_>| false, limit())).unwrap();
    // The kit compares how many run among all calls and among some of them, so all calls have to be alike.
    Contract::new().check_fresh_over(Number, || ExceptLayer::new(|_: &u64| false, limit())).unwrap();
}
