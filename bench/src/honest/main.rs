//! `honest`: what honest uses of a server notice of the hub between them, as a table.

mod args;
mod caller;
mod health;
mod outcome;
mod rows;
mod run;
mod server;
mod servers;
mod site;

use std::process::ExitCode;

use args::{Args, Role};
use clap::Parser as _;
use tunnel::program::{fail, usage};

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return usage(&error),
    };
    let done = match args.role {
        None => run::run(&args.table),
        Some(Role::Server { streams, address }) => server::run(streams, address).map(|()| true),
        Some(Role::Keep { program, args }) => servers::keep(&program, &args).map(|()| true),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => fail("honest", &error),
    }
}
