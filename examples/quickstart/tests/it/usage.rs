//! Wrong usage ends with status 2 and says what is wrong, before anything is done.

use crate::program::{run, scratch};

#[test]
fn wrong_options_are_wrong_usage() {
    for args in [
        &["--fail-rate", "2"][..],
        &["--rate", "0"],
        &["--concurrency", "0"],
        &["--outage", "soon"],
        &["--calls", "many"],
        &["--out", "results"],
        &["--urls", "-", "--calls", "3"],
        &["--unknown"],
        &["stray"],
    ] {
        let finished = run(args);
        assert_eq!(finished.code, Some(2), "{args:?}: {finished:?}");
        assert!(finished.stderr.contains("error:"), "{args:?}: {finished:?}");
        assert!(finished.stdout.is_empty(), "{args:?}: {finished:?}");
    }
}

#[test]
fn files_that_cannot_be_opened_are_wrong_usage_and_are_named() {
    let nowhere = scratch("no/such/folder/file");
    let nowhere = nowhere.to_str().unwrap();
    for args in [
        &["--urls", nowhere][..],
        &["--urls", "-", "--out", nowhere],
        &["--urls", "-", "--report", nowhere],
        &["--calls", "0", "--report", nowhere],
    ] {
        let finished = run(args);
        assert_eq!(finished.code, Some(2), "{args:?}: {finished:?}");
        assert!(finished.stderr.contains(nowhere), "{args:?}: {finished:?}");
    }
}

#[test]
fn results_do_not_overwrite_the_urls_they_are_for() {
    let file = scratch("in-and-out");
    std::fs::write(&file, "http://127.0.0.1:1/\n").unwrap();
    let path = file.to_str().unwrap();
    let finished = run(&["--urls", path, "--out", path]);
    assert_eq!(finished.code, Some(2), "{finished:?}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "http://127.0.0.1:1/\n");
}

#[test]
fn a_report_does_not_overwrite_the_urls_or_the_results() {
    let urls = scratch("urls-and-report");
    std::fs::write(&urls, "http://127.0.0.1:1/\n").unwrap();
    let path = urls.to_str().unwrap();
    let finished = run(&["--urls", path, "--report", path]);
    assert_eq!(finished.code, Some(2), "{finished:?}");
    assert_eq!(std::fs::read_to_string(&urls).unwrap(), "http://127.0.0.1:1/\n");

    let out = scratch("out-and-report");
    let out = out.to_str().unwrap();
    let finished = run(&["--urls", path, "--out", out, "--report", out]);
    assert_eq!(finished.code, Some(2), "{finished:?}");
    let nowhere = run(&["--urls", "-", "--out", "/dev/null", "--report", "/dev/null"]);
    assert_eq!(nowhere.code, Some(0), "{nowhere:?}");
}

#[test]
fn help_is_no_error() {
    let finished = run(&["--help"]);
    assert_eq!(finished.code, Some(0));
    assert!(finished.stdout.contains("--fail-rate"));
}
