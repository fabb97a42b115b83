//! Ctrl-C.

use std::{
    io::{BufRead, BufReader, Write},
    time::Duration,
};

use crate::{
    hostile::Server,
    program::{Running, run_to, scratch, start},
};

#[test]
fn ctrl_c_prints_the_table_of_what_was_done() {
    let path = scratch("interrupted");
    let child = start(&["--calls", "1000000", "--rate", "100", "--report", path.to_str().unwrap()]);
    let mut running = Running::watch(child);
    assert!(running.runs_for(Duration::from_secs(4)));
    running.interrupt();
    let finished = running.finish();
    assert_eq!(finished.code, Some(130), "{finished:?}");
    assert!(finished.stdout.lines().any(|line| line.starts_with("answered")), "{finished:?}");
    let report: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let naive = &report["naive"];
    let calls = naive["calls"].as_u64().unwrap();
    assert!((10..100_000).contains(&calls), "{naive}");
    assert_eq!(naive["lost"], 0, "{naive}");
    assert_eq!(report["stack"]["calls"], 0);
}

#[test]
fn a_reader_that_leaves_is_no_panic() {
    let mut child = start(&["--calls", "5", "--outage", "0"]);
    drop(child.stdout.take());
    let finished = Running::watch(child).finish();
    assert_eq!((finished.code, finished.stderr.as_str()), (Some(0), ""), "{finished:?}");

    let server = Server::start();
    let mut child = start(&["--urls", "-"]);
    drop(child.stdout.take());
    let mut stdin = child.stdin.take().unwrap();
    let mut running = Running::watch(child);
    // It ends although the list does not: nobody reads the results.
    while running.runs_for(Duration::from_millis(10)) {
        if writeln!(stdin, "{}", server.url("/ok")).is_err() {
            break;
        }
    }
    let finished = running.finish();
    assert!(finished.stderr.contains("the results cannot be written"), "{finished:?}");
    assert!(!finished.stderr.contains("panicked"), "{finished:?}");
}

#[test]
fn nobody_need_read_what_is_said_on_the_side() {
    let server = Server::start();
    let mut child = start(&["--urls", "-"]);
    drop(child.stderr.take());
    let mut stdin = child.stdin.take().unwrap();
    writeln!(stdin, "nonsense\n{}", server.url("/ok")).unwrap();
    drop(stdin);
    let finished = Running::watch(child).finish();
    assert_eq!(finished.code, Some(1), "one line was bad: {finished:?}");
    assert_eq!(finished.stdout.lines().count(), 1, "{finished:?}");
}

#[test]
fn a_table_that_cannot_be_written_is_a_failure() {
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let finished = run_to(full, &["--calls", "0"]);
    assert_eq!(finished.code, Some(1), "{finished:?}");
    assert!(finished.stderr.contains("the table cannot be written"), "{finished:?}");
}

#[test]
fn ctrl_c_ends_a_list_of_urls_that_has_no_end() {
    let server = Server::start();
    let mut child = start(&["--urls", "-"]);
    let mut stdin = child.stdin.take().unwrap();
    writeln!(stdin, "{}", server.url("/ok")).unwrap();
    // One result is there while the list is still open.
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    assert!(line.contains(r#""status":200"#), "{line}");
    let running = Running::watch(child);
    running.interrupt();
    let finished = running.finish();
    assert_eq!(finished.code, Some(1), "{finished:?}");
    assert!(finished.stderr.lines().any(|line| line.starts_with("answered")), "{finished:?}");
    drop(stdin);
}
