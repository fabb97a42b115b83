//! `--urls`: the calls of a file or of standard input, through the stack, one line of result each.

use std::{io, path::Path, process::ExitCode, time::Duration};

use donjon::{
    Call,
    json::Reply,
    retry::{NoRetry, RetryReport},
};
use serde_json::value::RawValue;
use tokio::{
    io::{AsyncBufRead, BufReader},
    sync::mpsc,
    task::JoinSet,
    time::Instant,
};

use crate::{
    aside,
    cli::Cli,
    fault::Fault,
    interrupt::Interrupt,
    job::Job,
    lines::Lines,
    output::Output,
    progress::Progress,
    report::{Figures, ReportFile, UrlsReport, rounded},
    result_line::{ResultLine, on_one_line},
    sent,
    source::Source,
    stack::{Settings, Stack, kind},
    table::{Upstream, table},
    tally::Tally,
    way::Done,
};

/// Something of the input.
enum Input {
    Job(u64, Job),
    Bad(u64, String),
    Broken(io::Error),
}

/// A call that has its result.
struct Finished {
    id: u64,
    latency: Duration,
    done: Done,
    line: Vec<u8>,
}

/// What has come of the input so far.
struct Progressed {
    tally: Tally,
    bad_lines: u64,
    broken: bool,
}

/// Makes the calls and writes their results; the table goes to stderr. Succeeds if every line was good and was
/// answered with 2xx. What was interrupted, or is in a bad line, has no result.
pub(crate) async fn run(cli: &Cli, path: &Path) -> Result<ExitCode, Fault> {
    let input = open_input(path).await?;
    if cli.report.as_deref().is_some_and(|report| same_file(report, path)) {
        return Err(Fault::usage(path, "the report would overwrite the URLs"));
    }
    let output = open_output(cli, path)?;
    if let (Some(report), Some(out)) = (&cli.report, &cli.out)
        && same_file(report, out)
    {
        return Err(Fault::usage(report, "the report would overwrite the results"));
    }
    let report = cli.report.as_deref().map(ReportFile::create).transpose()?;
    let mut interrupt = Interrupt::listen();

    let stack = Stack::new(Settings { queue: window(cli), ..Settings::from(cli) });
    let progress = Progress::new("urls", None, None);
    let mut so_far = Progressed { tally: Tally::new(), bad_lines: 0, broken: false };
    make_calls(cli, &stack, input, &output, &progress, &mut interrupt, &mut so_far).await;
    drop(progress);

    let Progressed { tally, bad_lines, broken } = so_far;
    let figures = Figures { upstream_calls: stack.sent(), ..Figures::of_results(&tally, cli.deadline) };
    let figures = stack.figures(figures);
    aside::say(table(&[("stack", &figures)], Upstream::Foreign).trim_end());
    if bad_lines > 0 {
        aside::say(format_args!("bad lines, skipped: {bad_lines}"));
    }
    let all_answered = figures.answered == figures.calls;
    if let Some(report) = report {
        report.write(&UrlsReport { stack: figures })?;
    }
    output.finish().map_err(|error| Fault::failed("the results cannot be written", error))?;
    let good = all_answered && bad_lines == 0 && !broken && !interrupt.is_asked();
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// How many calls are begun at once. Those that sleep before a retry hold no place under the limit, so it is twice the
/// limit: while some sleep there are others to run, and yet nobody waits in line for longer than an attempt takes.
fn window(cli: &Cli) -> usize {
    cli.concurrency.saturating_mul(2)
}

async fn make_calls(
    cli: &Cli,
    stack: &Stack,
    input: Box<dyn AsyncBufRead + Send + Unpin>,
    output: &Output,
    progress: &Progress,
    interrupt: &mut Interrupt,
    so_far: &mut Progressed,
) {
    let (found, mut inputs) = mpsc::channel(64);
    let reading = tokio::spawn(read(input, found)).abort_handle();
    let mut running = JoinSet::new();
    let mut open = true;
    while open || !running.is_empty() {
        tokio::select! {
            () = interrupt.asked() => break,
            Some(finished) = running.join_next() => {
                // A call that panicked has no result: it shows as lost.
                let Ok(Finished { id, latency, done, line }) = finished else { continue };
                progress.done(done.result.is_ok());
                so_far.tally.done(id, latency, done);
                if !output.line(line).await {
                    break;
                }
            }
            next = inputs.recv(), if open && running.len() < window(cli) => match next {
                Some(Input::Job(number, job)) => {
                    let id = so_far.tally.calls();
                    so_far.tally.offered();
                    running.spawn(call(stack.clone(), cli.cache_ttl, id, number, job));
                }
                Some(Input::Bad(number, what)) => {
                    so_far.bad_lines += 1;
                    progress.say(&format!("line {number}: {what}"));
                }
                Some(Input::Broken(error)) => {
                    so_far.broken = true;
                    progress.say(&format!("error: the input cannot be read any further: {error}"));
                }
                None => open = false,
            },
        }
    }
    reading.abort();
    running.shutdown().await;
    so_far.tally.interrupt();
}

/// Makes jobs of lines until there are no more, or nobody wants them.
async fn read(input: impl AsyncBufRead + Unpin, found: mpsc::Sender<Input>) {
    let mut lines = Lines::new(input);
    loop {
        let input = match lines.next().await {
            Ok(Some((number, Ok(line)))) => match Job::parse(&line) {
                Ok(Some(job)) => Input::Job(number, job),
                Ok(None) => continue,
                Err(bad) => Input::Bad(number, bad.to_string()),
            },
            Ok(Some((number, Err(unreadable)))) => Input::Bad(number, unreadable.to_string()),
            Ok(None) => return,
            Err(error) => {
                let _ = found.send(Input::Broken(error)).await;
                return;
            }
        };
        if found.send(input).await.is_err() {
            return;
        }
    }
}

async fn call(stack: Stack, ttl: Duration, id: u64, number: u64, job: Job) -> Finished {
    let began = Instant::now();
    let mut call = Call::<Reply<Box<RawValue>>>::url(job.method.clone(), job.url.clone());
    if let Some(body) = &job.body {
        call = call.raw_body("application/json", body.get().to_owned());
    }
    let retries = RetryReport::new();
    call = call.extension(retries.clone());
    let (result, attempts) = sent::counting(stack.api.send(call)).await;
    let latency = began.elapsed();

    let source = match &result {
        Ok(reply) => Source::of(reply.headers(), began, attempts, ttl),
        Err(_) => Source::Upstream,
    };
    let (status, body, error) = match result {
        Ok(reply) => (Some(reply.status()), Ok(on_one_line(reply.into_body())), None),
        Err(error) => (error.status(), Err(format!("{error:#}{}", given_up(&retries))), Some(kind(&error))),
    };
    let line = ResultLine {
        line: number,
        method: job.method.as_str(),
        url: &job.url,
        status: status.map(|status| status.as_u16()),
        body: body.as_deref().ok(),
        error: body.as_ref().err().map(String::as_str),
        attempts,
        source,
        ms: rounded(latency.as_secs_f64() * 1_000.0),
    };
    let line = serde_json::to_vec(&line).expect("numbers, text and JSON can be written as JSON");
    Finished { id, latency, done: Done { result: error.map_or(Ok(()), Err), attempts }, line }
}

/// Why a call that failed was not sent again, where that is not plain from its failure and its attempts.
fn given_up(retries: &RetryReport) -> String {
    match retries.info().and_then(|info| info.reason) {
        None | Some(NoRetry::NotRetryable | NoRetry::AttemptsExhausted) => String::new(),
        Some(reason) => format!("; not sent again: {reason}"),
    }
}

async fn open_input(path: &Path) -> Result<Box<dyn AsyncBufRead + Send + Unpin>, Fault> {
    if path == Path::new("-") {
        return Ok(Box::new(BufReader::new(tokio::io::stdin())));
    }
    match tokio::fs::File::open(path).await {
        Ok(file) => Ok(Box::new(BufReader::new(file))),
        Err(error) => Err(Fault::usage(path, error)),
    }
}

fn open_output(cli: &Cli, input: &Path) -> Result<Output, Fault> {
    let Some(path) = &cli.out else { return Ok(Output::start(io::stdout())) };
    if same_file(path, input) {
        return Err(Fault::usage(path, "the results would overwrite the URLs"));
    }
    let file = std::fs::File::create(path).map_err(|error| Fault::usage(path, error))?;
    Ok(Output::start(io::BufWriter::new(file)))
}

/// Whether both name one file that is there; a device or a pipe can be named twice.
fn same_file(a: &Path, b: &Path) -> bool {
    match (a.canonicalize(), b.canonicalize()) {
        (Ok(a), Ok(b)) => a == b && a.is_file(),
        _ => false,
    }
}
