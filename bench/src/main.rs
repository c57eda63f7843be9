//! `isolation`: what a bystander's calls notice of another caller's abuse, as a table.

mod abuse;
mod args;
mod bare;
mod bystander;
mod front;
mod measure;
mod report;
mod rows;
mod upstream;
mod vitals;
mod world;

use std::process::ExitCode;

use args::{Args, Role};
use bench::{child, sample};
use clap::Parser as _;
use tunnel::program::{fail, usage};

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return usage(&error),
    };
    let done = match args.role {
        None => measure::run(&args.table),
        Some(Role::Upstream { kind, netty, listen }) => {
            upstream::run(kind, netty.as_deref(), listen).map(|()| true)
        }
        Some(Role::Abuse(asked)) => abuse::run(asked).map(|()| true),
        Some(Role::Front { kind, hub, envoy }) => front::run(kind, hub, &envoy).map(|()| true),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => fail("isolation", &error),
    }
}
