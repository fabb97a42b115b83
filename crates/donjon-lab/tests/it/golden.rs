//! The figures stay in their bands: means over eight seeds, of scenes that are shorter than the ones in `docs/`.

use std::collections::BTreeMap;

use donjon_lab::{Report, Scenario, Settings, measure, scenarios};

const SEEDS: u32 = 8;

/// What makes a scene short enough for a test.
const SMALL: &[(&str, &[(&str, f64)])] = &[("retry-budget", &[("seconds", 20.0)])];

fn scenario(name: &str) -> &'static Scenario {
    scenarios::ALL.iter().find(|it| it.name == name).unwrap_or_else(|| panic!("there is a scenario {name}"))
}

/// The settings of a short scene.
pub(crate) fn small(name: &str) -> Settings {
    let mut settings = Settings::new(scenario(name).params);
    let moves: BTreeMap<_, _> = SMALL.iter().copied().collect();
    for (setting, value) in moves.get(name).copied().unwrap_or_default() {
        settings.set(setting, *value).unwrap();
    }
    settings
}

fn play(name: &str) -> Report {
    measure(scenario(name), &small(name), 1, SEEDS, &|| {})
}

/// Fails with every figure that has left its band.
#[track_caller]
fn assert_bands(report: &Report, bands: &[(&str, &str, f64, f64)]) {
    let mut out = String::new();
    for &(policy, metric, least, most) in bands {
        let value = report.value(policy, metric).unwrap_or_else(|| panic!("{policy} has no figure `{metric}`"));
        if !(least..=most).contains(&value) {
            out += &format!("{policy}: {metric} is {value}, not from {least} to {most}\n");
        }
    }
    assert!(out.is_empty(), "{}:\n{out}\n{report}", report.scenario);
}

#[test]
fn retry_budget() {
    let report = play("retry-budget");
    let (slow, fast) = ("load, all failing, slow client", "load, all failing, fast client");
    let (lost, tiers) = ("lost against no budget, some failing", "load under three tiers, all failing, slow client");
    assert_bands(
        &report,
        &[
            // 24 tokens beside 200 calls and 2,000.
            ("donjon", slow, 1.11, 1.13),
            ("donjon", fast, 1.011, 1.013),
            ("donjon", tiers, 1.34, 1.39),
            ("donjon", lost, 0.0, 0.05),
            ("no budget", slow, 3.0, 3.0),
            ("no budget", tiers, 27.0, 27.0),
            ("no retry", slow, 1.0, 1.0),
            ("AWS 2.0 preset", slow, 1.45, 1.55),
            ("Finagle", slow, 2.1, 2.3),
            ("Finagle", fast, 1.28, 1.32),
            ("SRE book, 10 %", fast, 1.10, 1.12),
            ("tower TpsBudget", slow, 2.4, 2.7),
        ],
    );
}
