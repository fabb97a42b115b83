//! What holds for every scenario.

use std::{
    collections::HashSet,
    sync::atomic::{AtomicU32, Ordering},
};

use donjon_lab::{Chart, Figure, Goal, Origin, Param, Scenario, Scene, Settings, measure, scenarios};

use crate::golden::small;

const PARAMS: &[Param] = &[
    Param::new("rate", 10.0, (1.0, 20.0), "calls a second"),
    Param::new("share", 0.5, (0.0, 1.0), "what fails"),
    Param::count("attempts", 3, (1, 10), "attempts a call"),
];

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_one_others() {
    let directory = std::env::temp_dir().join(format!("donjon-lab-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    for scenario in scenarios::ALL {
        let settings = small(scenario.name);
        let bytes = |seed, file: &str| {
            let report = measure(scenario, &settings, seed, 1, &|| {});
            let path = directory.join(file);
            (scenario.draw)(&report).save(&path).unwrap();
            (report.json().to_string(), report.to_string(), std::fs::read(&path).unwrap())
        };
        let once = bytes(7, "once.svg");
        assert_eq!(once, bytes(7, "twice.svg"), "{} does not repeat itself", scenario.name);
        assert_ne!(once.1, bytes(8, "other.svg").1, "{} does not depend on its seed", scenario.name);
    }
    std::fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn names_are_told_apart_and_defaults_are_in_their_range() {
    let mut names = HashSet::new();
    for scenario in scenarios::ALL {
        assert!(names.insert(scenario.name), "two scenarios are called {}", scenario.name);
        let mut settings = Settings::new(scenario.params);
        for param in scenario.params {
            assert!(settings.set(param.name, param.default).is_ok(), "{}: {param}", scenario.name);
        }
    }
}

#[test]
fn an_unknown_setting_is_told_which_there_are() {
    let error = Settings::new(PARAMS).parse("speed=3").unwrap_err().to_string();
    assert!(error.contains("there is no setting `speed`"), "{error}");
    assert!(error.contains("rate") && error.contains("from 1 to 20") && error.contains("share"), "{error}");
}

#[test]
fn a_setting_out_of_its_range_or_no_number_is_refused() {
    let mut settings = Settings::new(PARAMS);
    for (text, says) in [
        ("rate=21", "`rate` goes from 1 to 20, not to 21"),
        ("rate=NaN", "not to NaN"),
        ("attempts=2.4", "`attempts` is a whole number, not 2.4"),
        ("rate=fast", "`fast` is not a number"),
        ("rate", "`rate` is not NAME=VALUE"),
    ] {
        let error = settings.parse(text).unwrap_err().to_string();
        assert!(error.contains(says), "{text}: {error}");
    }
    assert_eq!(settings, Settings::new(PARAMS), "a refused setting changes nothing");
    settings.parse("rate=20").unwrap();
    assert_ne!(settings, Settings::new(PARAMS));
}

#[test]
fn a_report_is_the_mean_of_its_seeds_in_one_order() {
    let scenario = scenarios::ALL[0];
    let settings = small(scenario.name);
    let told = AtomicU32::new(0);
    let both = measure(scenario, &settings, 3, 2, &|| {
        told.fetch_add(1, Ordering::Relaxed);
    });
    assert_eq!(told.into_inner(), 2);
    let alone = [3, 4].map(|seed| measure(scenario, &settings, seed, 1, &|| {}));
    for (at, row) in both.rows.iter().enumerate() {
        let values = alone.each_ref().map(|report| report.rows[at].mean.value);
        assert_eq!(row.mean.value, (values[0] + values[1]) / 2.0);
        assert_eq!((row.least, row.most), (values[0].min(values[1]), values[0].max(values[1])));
    }
}

#[test]
fn rows_in_json_have_all_seven_fields() {
    let scenario = scenarios::ALL[0];
    let report = measure(scenario, &small(scenario.name), 5, 1, &|| {});
    let json = report.json();
    let rows = json.as_array().unwrap();
    assert_eq!(rows.len(), report.rows.len() + report.published.len());
    for row in rows {
        let fields: Vec<_> = row.as_object().unwrap().keys().map(String::as_str).collect();
        let mut all = ["scenario", "policy", "metric", "unit", "value", "goal", "seed"];
        all.sort_unstable();
        assert_eq!(fields, all);
    }
    assert_eq!(rows[0]["seed"], 5);
    assert!(rows.iter().any(|row| row["goal"] == "<= 1.05"));
    assert!(rows.last().unwrap()["seed"].is_null(), "what was not measured here has no seed");
}

#[test]
fn what_one_seed_never_reaches_has_no_mean_and_is_called_never() {
    fn play(scene: &Scene<'_>) -> Vec<Figure> {
        let value = if scene.seed == 2 { f64::NAN } else { scene.seed as f64 };
        vec![Figure::new("a policy", "time", "s", value).goal_if(true, Goal::AtMost(9.0))]
    }
    let scenario = Scenario {
        name: "never",
        title: "",
        about: "",
        params: PARAMS,
        published: &[],
        play,
        draw: |report| Chart::bars("never", report, &["time"]),
    };
    let report = |seed| measure(&scenario, &Settings::new(PARAMS), seed, 2, &|| {});
    let (with, without) = (report(1), report(3));
    assert_eq!(without.value("a policy", "time"), Some(3.5));
    assert!(with.value("a policy", "time").unwrap().is_nan());
    assert_eq!((with.rows[0].least, with.rows[0].is_met()), (1.0, Some(false)));
    assert!(with.rows[0].most.is_nan());

    let table = with.to_string();
    assert!(table.contains("never  1.000 .. never  s"), "{table}");
    assert_eq!(with.json()[0]["value"], "never");
    let path = std::env::temp_dir().join(format!("donjon-lab-never-{}.svg", std::process::id()));
    (scenario.draw)(&with).save(&path).unwrap();
    let picture = std::fs::read_to_string(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert!(picture.contains("\nnever\n"), "{picture}");
}

#[test]
fn only_what_has_been_published_is_called_so() {
    for scenario in scenarios::ALL {
        for it in scenario.published {
            let (says_model, is_model) = (it.policy.contains("modelled"), it.origin == Origin::Modelled);
            assert_eq!(says_model, is_model, "{}: {}", scenario.name, it.policy);
            assert_eq!(it.policy.contains("published"), !is_model, "{}: {}", scenario.name, it.policy);
        }
    }
}

#[test]
fn goals_include_their_bound() {
    assert!(Goal::AtMost(2.0).is_met(2.0) && !Goal::AtMost(2.0).is_met(2.1) && !Goal::AtMost(2.0).is_met(f64::NAN));
    assert!(Goal::AtLeast(2.0).is_met(2.0) && !Goal::AtLeast(2.0).is_met(1.9));
}
