//! `--urls`: the user's own endpoints.

use serde_json::Value;

use crate::{
    hostile::Server,
    program::{Finished, run, run_with, scratch},
};

fn lines(finished: &Finished) -> Vec<Value> {
    let mut lines: Vec<Value> = finished.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    lines.sort_by_key(|line| line["line"].as_u64());
    lines
}

/// The result of calling this path of the hostile server, as the only line. It has more time than the slowest machine
/// needs.
fn call(server: &Server, path: &str) -> Value {
    call_within(server, path, "30s", "10s")
}

/// The same with little time: for a path that never ends.
fn call_in_a_hurry(server: &Server, path: &str) -> Value {
    call_within(server, path, "3s", "500ms")
}

fn call_within(server: &Server, path: &str, deadline: &str, attempt: &str) -> Value {
    let url = server.url(path);
    let finished = run_with(&["--urls", "-", "--deadline", deadline, "--attempt-timeout", attempt], url.as_bytes());
    let [line] = lines(&finished).try_into().unwrap_or_else(|_| panic!("{finished:?}"));
    assert_eq!(finished.code, Some(if line.get("error").is_some() { 1 } else { 0 }), "{finished:?}");
    assert_eq!((&line["line"], &line["url"], &line["method"]), (&1.into(), &url.into(), &"GET".into()));
    line
}

/// The error of calling this path, which names the URL.
fn error(server: &Server, path: &str) -> String {
    let line = call(server, path);
    let error = line["error"].as_str().unwrap_or_else(|| panic!("{line}")).to_owned();
    assert!(error.contains(&server.url(path)), "it names the URL: {error}");
    assert!(line.get("body").is_none(), "{line}");
    error
}

#[test]
fn every_line_has_a_result_and_all_good_is_status_0() {
    let server = Server::start();
    let input = format!(
        "{}\n\nPOST {} {{\"a\": [1, 2.50]}}\r\nDELETE {}\n",
        server.url("/ok"),
        server.url("/echo"),
        server.url("/empty")
    );
    let finished = run_with(&["--urls", "-"], input.as_bytes());
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let lines = lines(&finished);
    assert_eq!(lines.len(), 3);
    for (line, number) in lines.iter().zip([1, 3, 4]) {
        assert_eq!(line["line"], number);
        assert_eq!((&line["attempts"], &line["source"]), (&1.into(), &"upstream".into()), "{line}");
        assert!(line["ms"].as_f64().unwrap() > 0.0 && line.get("error").is_none(), "{line}");
    }
    let statuses: Vec<_> = lines.iter().map(|line| line["status"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [200, 201, 204]);
    assert_eq!(lines[2]["body"], Value::Null, "an empty body");
    // As they are: no number is rounded, no digit lost.
    assert!(finished.stdout.contains(r#""body":{"big":123456789012345678901234567890,"price":1.10}"#), "{finished:?}");
    assert!(finished.stdout.contains(r#""body":{"method":"POST","body":{"a": [1, 2.50]}}"#), "{finished:?}");
    assert!(finished.stderr.lines().any(|line| line.starts_with("answered")), "{finished:?}");
}

#[test]
fn results_go_to_a_file_when_asked_and_urls_come_from_one() {
    let server = Server::start();
    let (input, out) = (scratch("urls"), scratch("results"));
    std::fs::write(&input, format!("{}\n", server.url("/pretty"))).unwrap();
    let finished = run(&["--urls", input.to_str().unwrap(), "--out", out.to_str().unwrap()]);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert!(finished.stdout.is_empty());
    let results = std::fs::read_to_string(out).unwrap();
    assert_eq!(results.lines().count(), 1, "a pretty body is still one line: {results}");
    let line: Value = serde_json::from_str(&results).unwrap();
    assert_eq!(line["body"], serde_json::json!({"a": [1]}));
}

#[test]
fn bad_lines_are_reported_with_their_numbers_and_skipped() {
    let server = Server::start();
    let mut input = format!("{}\nnonsense\n", server.url("/ok")).into_bytes();
    input.extend(b"\xff\xfe\nPOST http://a/ {\"a\":\nftp://a/\nhttp://host:99999/\n");
    input.extend(format!("get {0}\n{0}\n", server.url("/ok")).as_bytes());
    let finished = run_with(&["--urls", "-"], &input);
    assert_eq!(finished.code, Some(1), "{finished:?}");
    let numbers: Vec<_> = lines(&finished).iter().map(|line| line["line"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [1, 8]);
    for (number, what) in
        [(2, "scheme"), (3, "UTF-8"), (4, "not JSON"), (5, "http or https"), (6, "not a URL"), (7, "method")]
    {
        let report = finished.stderr.lines().find(|line| line.starts_with(&format!("line {number}: ")));
        assert!(report.is_some_and(|line| line.contains(what)), "line {number}, {what}: {finished:?}");
    }
}

#[test]
fn an_answer_that_is_not_2xx_is_status_1_and_an_error() {
    let server = Server::start();
    let line = call(&server, "/missing");
    assert_eq!((&line["status"], &line["attempts"]), (&404.into(), &1.into()), "{line}");
    assert!(line["error"].as_str().unwrap().contains("no such thing"), "{line}");
}

#[test]
fn what_fails_for_a_while_is_tried_again() {
    let server = Server::start();
    let line = call(&server, "/second");
    assert_eq!((&line["status"], &line["attempts"]), (&200.into(), &2.into()), "{line}");
    assert_eq!(line["body"], "at last");
    let line = call(&server, "/broken");
    assert_eq!((&line["status"], &line["attempts"]), (&500.into(), &4.into()), "{line}");
    assert_eq!(server.seen("/broken"), 4);
}

#[test]
fn a_post_is_not_sent_twice() {
    let server = Server::start();
    let finished = run_with(&["--urls", "-"], format!("POST {} {{}}", server.url("/broken")).as_bytes());
    assert_eq!(finished.code, Some(1));
    let line = &lines(&finished)[0];
    assert_eq!(line["attempts"], 1);
    assert!(line["error"].as_str().unwrap().contains("not idempotent"), "it says why: {line}");
    assert_eq!(server.seen("/broken"), 1);
}

#[test]
fn a_wait_beyond_the_deadline_is_not_waited_for() {
    let server = Server::start();
    let line = call(&server, "/later");
    assert_eq!(line["status"], 429, "{line}");
    assert!(line["ms"].as_f64().unwrap() < 20_000.0, "{line}");
    assert_eq!(server.seen("/later"), 1);
}

#[test]
fn a_redirect_loop_is_not_followed() {
    let server = Server::start();
    let error = error(&server, "/redirect");
    assert!(error.contains("302"), "{error}");
    assert_eq!(server.seen("/redirect"), 1);
}

#[test]
fn a_body_of_10_gb_is_given_up_at_a_cap() {
    let error = error(&Server::start(), "/huge");
    assert!(error.contains("larger than"), "{error}");
}

#[test]
fn a_body_without_end_is_given_up() {
    // At the cap, or when its time is over, whichever is first on this machine.
    let error = error(&Server::start(), "/endless");
    assert!(error.contains("larger than") || error.contains("timeout"), "{error}");
}

#[test]
fn a_body_that_stalls_is_given_up_in_time() {
    let server = Server::start();
    let line = call_in_a_hurry(&server, "/stall");
    assert!(line["error"].as_str().unwrap().contains(&server.url("/stall")), "{line}");
    assert!(line["ms"].as_f64().unwrap() <= 20_000.0, "{line}");
}

#[test]
fn a_server_that_says_nothing_is_given_up_in_time() {
    let server = Server::start();
    let line = call_in_a_hurry(&server, "/silent");
    assert!(line["error"].as_str().unwrap().contains("timeout"), "{line}");
    assert!(line["ms"].as_f64().unwrap() <= 20_000.0, "{line}");
    assert_eq!(line["status"], Value::Null);
}

#[test]
fn a_server_that_closes_early_is_named() {
    let server = Server::start();
    for path in ["/close", "/cut", "/garbage", "/fields"] {
        error(&server, path);
    }
}

#[test]
fn nobody_there_is_named() {
    let finished = run_with(&["--urls", "-"], b"http://127.0.0.1:1/a");
    let line = &lines(&finished)[0];
    assert!(line["error"].as_str().unwrap().contains("http://127.0.0.1:1/a"), "{line}");
    assert!(line["error"].as_str().unwrap().contains("refused"), "{line}");
}

#[test]
fn bodies_that_are_not_json_are_named() {
    let server = Server::start();
    assert!(error(&server, "/html").contains("text/html"));
    assert!(error(&server, "/not-json").contains("JSON"), "{}", error(&server, "/not-json"));
    error(&server, "/not-utf8");
}

#[test]
fn as_many_as_the_limit_are_in_flight_and_no_line_is_lost() {
    let server = Server::start();
    let input: String = (0..60).map(|i| format!("{}\n", server.url(&format!("/slow?{i}")))).collect();
    let finished = run_with(&["--urls", "-", "--concurrency", "3"], input.as_bytes());
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let numbers: Vec<_> = lines(&finished).iter().map(|line| line["line"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=60).collect::<Vec<_>>());
    assert_eq!(server.most_in_flight(), 3);
}

#[test]
fn each_line_says_where_its_answer_came_from() {
    let server = Server::start();
    // So many that some are begun when others are answered, and that the answers get old meanwhile.
    let input = format!("{}\n", server.url("/ok")).repeat(2_000);
    let finished = run_with(&["--urls", "-", "--cache-ttl", "100ms"], input.as_bytes());
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let lines = lines(&finished);
    assert_eq!(lines.len(), 2_000);
    let from = |source: &str| lines.iter().filter(|line| line["source"] == source).count();
    assert!(from("upstream") >= 1 && from("cache") > 100, "{} {}", from("upstream"), from("cache"));
    assert_eq!(from("upstream") + from("cache") + from("coalesced") + from("stale"), 2_000);
    assert!(lines.iter().all(|line| (line["source"] == "upstream") == (line["attempts"] != 0)));
    assert!(server.seen("/ok") < 1_000, "{}", server.seen("/ok"));
    // Not without a cache, nor for what changes something.
    let input = format!("{0}\n{0}\n", server.url("/ok"));
    let finished = run_with(&["--urls", "-", "--cache-ttl", "0"], input.as_bytes());
    assert!(self::lines(&finished).iter().all(|line| line["source"] == "upstream"), "{finished:?}");
}
