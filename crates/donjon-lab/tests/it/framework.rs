//! What holds for every scenario.

use std::{
    collections::HashSet,
    sync::atomic::{AtomicU32, Ordering},
};

use donjon_lab::{Goal, Param, Settings, measure, scenarios};

use crate::golden::small;

const PARAMS: &[Param] =
    &[Param::new("rate", 10.0, (1.0, 20.0), "calls a second"), Param::new("share", 0.5, (0.0, 1.0), "what fails")];

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
    assert!(rows.last().unwrap()["seed"].is_null(), "what others have published has no seed here");
}

#[test]
fn goals_include_their_bound() {
    assert!(Goal::AtMost(2.0).is_met(2.0) && !Goal::AtMost(2.0).is_met(2.1) && !Goal::AtMost(2.0).is_met(f64::NAN));
    assert!(Goal::AtLeast(2.0).is_met(2.0) && !Goal::AtLeast(2.0).is_met(1.9));
}
