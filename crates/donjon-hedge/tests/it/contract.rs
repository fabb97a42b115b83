//! The laws, by the contract kit.

use donjon_budget::Budget;
use donjon_hedge::{Delay, HedgeLayer};
use donjon_test::{Number, contract};

use crate::support::{hedge, millis};

#[test]
fn the_generic_layer_keeps_the_contract() {
    contract::check_fresh_over(Number, HedgeLayer::default).unwrap();
}

#[cfg(feature = "http")]
#[test]
fn the_http_layer_keeps_the_contract() {
    contract::check_fresh(HedgeLayer::http).unwrap();
    contract::check_fresh(|| HedgeLayer::http().delay(Delay::fixed(millis(5))).budget(&Budget::unlimited())).unwrap();
}

#[test]
fn every_form_of_delay_keeps_the_contract() {
    let half = donjon_core::Ratio::new(0.5).unwrap();
    contract::Contract::new()
        .skip(
            contract::Check::CompletionGivesBack,
            "each call has two copies out from its beginning, and the check counts one",
        )
        .check_fresh_over(Number, || hedge(Delay::fixed(millis(0))))
        .unwrap();
    contract::check_fresh_over(Number, || hedge(Delay::several([millis(1), millis(2), millis(30)]))).unwrap();
    contract::check_fresh_over(Number, || hedge(Delay::percentile(half))).unwrap();
    contract::check_fresh_over(Number, || HedgeLayer::default().budget(&Budget::none())).unwrap();
}
