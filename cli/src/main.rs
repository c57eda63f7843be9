//! The `client` program: parse, run, exit code.

use std::process::ExitCode;

use clap::Parser as _;
use client::{args::Args, status};

fn main() -> ExitCode {
    match Args::try_parse() {
        Ok(args) => status::report(client::run(args)),
        Err(error) => status::report_usage(&error),
    }
}
