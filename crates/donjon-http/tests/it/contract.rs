//! The layers against the laws. `respond` is not among them: it changes the error type, which is what it is for.

use donjon_http::{CollectLayer, ReplayLayer, grpc::StatusLayer};
use donjon_test::contract;

#[test]
fn collect_keeps_the_laws() {
    contract::check_fresh(CollectLayer::new).unwrap();
}

#[test]
fn collect_keeps_the_laws_when_bodies_stream() {
    contract::check_fresh(|| CollectLayer::new().cap(0)).unwrap();
}

#[test]
fn replay_keeps_the_laws() {
    contract::check_fresh(ReplayLayer::new).unwrap();
}

#[test]
fn replay_keeps_the_laws_when_nothing_is_kept() {
    contract::check_fresh(|| ReplayLayer::new().cap(0)).unwrap();
}

#[test]
fn the_search_for_a_status_keeps_the_laws() {
    contract::check_fresh(StatusLayer::new).unwrap();
}
