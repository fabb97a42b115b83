//! The built program, started and watched.

use std::{
    io::{Read, Write},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use serde_json::Value;

/// Nothing here takes longer, however slow the machine.
const PATIENCE: Duration = Duration::from_secs(90);

/// What a run has left.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A program that runs.
pub(crate) struct Running {
    id: u32,
    end: mpsc::Receiver<Finished>,
    ended: Option<Finished>,
}

/// Runs it to its end.
pub(crate) fn run(args: &[&str]) -> Finished {
    run_with(args, b"")
}

/// Runs it to its end with this standard input.
pub(crate) fn run_with(args: &[&str], input: &[u8]) -> Finished {
    let mut child = spawn(args);
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    thread::spawn(move || {
        // The program may end before it has read all.
        let _ = stdin.write_all(&input);
    });
    Running::watch(child).finish()
}

/// Starts it; standard input stays open and empty.
pub(crate) fn start(args: &[&str]) -> Child {
    spawn(args)
}

/// Runs it with `--report` and reads the report.
pub(crate) fn report(name: &str, args: &[&str]) -> (Finished, Value) {
    let path = scratch(name);
    let mut all = args.to_vec();
    all.extend(["--report", path.to_str().unwrap()]);
    let finished = run(&all);
    let json = std::fs::read(&path).unwrap_or_else(|e| panic!("{e}: {finished:?}"));
    (finished, serde_json::from_slice(&json).unwrap())
}

/// A file of this name that nobody else uses.
pub(crate) fn scratch(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{name}", std::process::id()))
}

/// Runs it to its end with standard output to this file.
pub(crate) fn run_to(stdout: std::fs::File, args: &[&str]) -> Finished {
    Running::watch(spawn_to(stdout, args)).finish()
}

fn spawn(args: &[&str]) -> Child {
    spawn_to(Stdio::piped(), args)
}

fn spawn_to(stdout: impl Into<Stdio>, args: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_quickstart"))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(stdout)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

// ===== impl Running =====

impl Running {
    /// Reads its output until it ends.
    pub(crate) fn watch(mut child: Child) -> Self {
        let id = child.id();
        let (ended, end) = mpsc::channel();
        let stderr = child.stderr.take().map(|stderr| thread::spawn(move || read(stderr)));
        thread::spawn(move || {
            let stdout = child.stdout.take().map(read).unwrap_or_default();
            let stderr = stderr.map(|stderr| stderr.join().unwrap()).unwrap_or_default();
            let code = child.wait().unwrap().code();
            let _ = ended.send(Finished { code, stdout, stderr });
        });
        Self { id, end, ended: None }
    }

    /// Whether it is still running after this long.
    pub(crate) fn runs_for(&mut self, time: Duration) -> bool {
        self.ended = self.ended.take().or_else(|| self.end.recv_timeout(time).ok());
        self.ended.is_none()
    }

    /// Presses Ctrl-C.
    pub(crate) fn interrupt(&self) {
        signal(self.id, "-INT");
    }

    /// Waits for its end.
    pub(crate) fn finish(self) -> Finished {
        self.ended.or_else(|| self.end.recv_timeout(PATIENCE).ok()).unwrap_or_else(|| {
            signal(self.id, "-KILL");
            panic!("it hangs: {:?}", self.end.recv_timeout(PATIENCE));
        })
    }
}

fn signal(id: u32, signal: &str) {
    assert!(Command::new("kill").args([signal, &id.to_string()]).status().unwrap().success());
}

fn read(mut from: impl Read) -> String {
    let mut bytes = Vec::new();
    from.read_to_end(&mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}
