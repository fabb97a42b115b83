//! Many JSON calls to an unreliable upstream, the naive way and through the stack.
//!
//! `cargo run -p quickstart` starts the upstream inside this program, offers it the same load twice and prints what
//! came of it side by side. `--urls FILE` makes the calls of a file instead, through the stack.

mod arrivals;
mod aside;
mod cli;
mod counts;
mod demo;
mod fate;
mod fault;
mod interrupt;
mod item;
mod job;
mod kinds;
mod lines;
mod load;
mod naive;
mod output;
mod progress;
mod reply_body;
mod report;
mod result_line;
mod seed;
mod sent;
mod socket;
mod source;
mod stack;
mod table;
mod tally;
mod upstream;
mod urls;
mod way;
mod zipf;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            aside::say(format_args!("error: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(async {
        match &cli.urls {
            Some(path) => urls::run(&cli, path).await,
            None => demo::run(&cli).await,
        }
    });
    // Not waited for: a thread may be stuck in a read of standard input.
    runtime.shutdown_background();
    result.unwrap_or_else(|fault| {
        aside::say(format_args!("error: {fault}"));
        fault.code()
    })
}
