//! Goals hold at seeds that the golden figures do not use, and with each setting moved by a fifth, but for those that are
//! known to be missed there: `docs/robustness.md` says why.

use donjon_lab::{Figure, Moved, Settings, moved, scenarios};

use crate::golden::small;

/// Where a goal is known to be missed: the setting, where it is moved to, and the policy or its metric.
type Known = (&'static str, f64, &'static str);

/// A first seed that no golden figure has.
const SEED: u64 = 101;

#[track_caller]
fn assert_goals_hold(name: &str, settings: &Settings, runs: u32, known: &[Known]) {
    let scenario = scenarios::ALL.iter().find(|it| it.name == name).unwrap();
    let all = moved(scenario, settings, SEED, runs);
    assert!(all[0].goals() > 0 && all[0].setting.is_none());
    // A scene that is played once cannot be played a fifth more often.
    for param in scenario.params.iter().filter(|param| param.name != "repeats") {
        assert!(
            all.iter().any(|it| it.setting.is_some_and(|(name, _)| name == param.name)),
            "{} was not moved",
            param.name
        );
    }
    let is_known = |it: &Moved, figure: &Figure| {
        known.iter().any(|&(setting, value, of)| {
            let here =
                setting == "*" || it.setting.is_some_and(|(name, at)| name == setting && (at - value).abs() < 1e-9);
            here && (figure.policy == of || figure.metric.starts_with(of))
        })
    };
    let missed: Vec<_> =
        all.iter().filter(|it| it.missed().any(|figure| !is_known(it, figure))).map(ToString::to_string).collect();
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

/// The settings of a short scene, and these.
fn with(name: &str, changes: &[(&str, f64)]) -> Settings {
    let mut settings = small(name);
    for (setting, value) in changes {
        settings.set(setting, *value).unwrap();
    }
    settings
}

#[test]
fn no_work_is_begun_too_late_wherever_the_scene_is_moved() {
    assert_goals_hold("deadline", &small("deadline"), 1, &[]);
}

#[test]
fn a_value_is_made_once_and_nobody_waits_wherever_the_scene_is_moved() {
    assert_goals_hold("stampede", &small("stampede"), 1, &[]);
}

#[test]
fn a_budget_costs_nothing_and_bounds_the_load_wherever_the_scene_is_moved() {
    // Where more than a third of the attempts fail the budget has to bite.
    let known = [("share", 0.36, "lost against no budget")];
    // The bounds are those of a minute.
    assert_goals_hold("retry-budget", &with("retry-budget", &[("seconds", 60.0)]), 1, &known);
}

#[test]
fn shared_backoff_beats_full_jitter_wherever_the_scene_is_moved() {
    let others_are_known_to_take_longer = [("*", 0.0, "donjon rtt-scaled")];
    // 4.4 s is the goal for a hundred clients, and is met by a hundred and twenty.
    assert_goals_hold("jitter", &small("jitter"), 8, &others_are_known_to_take_longer);
}

#[test]
fn hedges_cut_the_tail_for_two_percent_wherever_the_scene_is_moved() {
    // 260 ms is the goal for leaves that are ten times slower.
    let known = [("slower", 12.0, "p99.9, all slower")];
    assert_goals_hold("fan-out", &with("fan-out", &[("answers", 1000.0), ("warm-up", 400.0)]), 1, &known);
}

#[test]
fn a_breaker_opens_soon_and_not_falsely_wherever_the_scene_is_moved() {
    // At 6 % failing it is 3 in ten million: the bound is meant for 5 %.
    let known = [("errors", 0.06, "false openings")];
    assert_goals_hold(
        "breaker",
        &with("breaker", &[("openings", 25.0), ("calls", 100_000.0), ("healthy", 5.0)]),
        2,
        &known,
    );
}

#[test]
fn a_queue_serves_what_can_be_served_wherever_it_is_overloaded() {
    // Under an overload of 4 to 8 % there is not always something to do.
    let known = [("rate", 1040.0, "donjon"), ("workers", 12.0, "donjon"), ("service", 8.0, "donjon")]
        .map(|(setting, value, _)| (setting, value, "donjon two-lane"));
    assert_goals_hold("queue-burst", &with("queue-burst", &[("seconds", 40.0)]), 1, &known);
}

#[test]
fn a_count_moves_to_a_whole_number_or_not_at_all() {
    let scenario = scenarios::ALL.iter().find(|it| it.name == "jitter").unwrap();
    let settings = with("jitter", &[("clients", 3.0), ("repeats", 1.0)]);
    let all = moved(scenario, &settings, SEED, 1);
    let to = |name| all.iter().filter_map(|it| it.setting).filter(|it| it.0 == name).map(|it| it.1).collect::<Vec<_>>();
    assert_eq!(to("clients"), [2.0, 4.0]);
    assert_eq!(to("repeats"), [0.0; 0], "one is nearest to four fifths and to six fifths");
}
