//! The `client` program: parse, run, exit code.

use std::process::ExitCode;

use clap::Parser as _;
use client::{args::Args, status};
use tunnel::program::without_secrets;

fn main() -> ExitCode {
    match Args::try_parse().map_err(|error| without_secrets(error, &["--proxy"])) {
        Ok(args) => status::report(client::run(args)),
        Err(error) => status::report_usage(&error),
    }
}
