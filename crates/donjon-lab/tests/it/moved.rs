//! Goals hold at seeds that the golden figures do not use, and with each setting moved by a fifth.

use donjon_lab::{moved, scenarios};

use crate::golden::small;

#[track_caller]
fn assert_goals_hold(name: &str) {
    let scenario = scenarios::ALL.iter().find(|it| it.name == name).unwrap();
    let all = moved(scenario, &small(name), 101, 1);
    assert!(all[0].goals() > 0 && all[0].setting.is_none());
    for param in scenario.params {
        assert!(
            all.iter().any(|it| it.setting.is_some_and(|(name, _)| name == param.name)),
            "{} was not moved",
            param.name
        );
    }
    let missed: Vec<_> = all.iter().filter(|it| it.missed().next().is_some()).map(ToString::to_string).collect();
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

#[test]
fn no_work_is_begun_too_late_wherever_the_scene_is_moved() {
    assert_goals_hold("deadline");
}

#[test]
fn a_value_is_made_once_and_nobody_waits_wherever_the_scene_is_moved() {
    assert_goals_hold("stampede");
}
