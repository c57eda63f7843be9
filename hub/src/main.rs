//! The program `hub`: parse, bind, run, exit code.

use std::process::ExitCode;

use clap::Parser;
use hub::{Args, Config, Listeners};
use tunnel::program::{self, Stop};

/// Gives back to the system what a flood of calls has taken, also when nobody calls any more: glibc's keeps
/// most of it, and others wait for the next call. `.cargo/config.toml` says after how long.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let args = match Args::try_parse_from(program::without_serve(std::env::args_os()).0)
        .and_then(Args::check)
    {
        Ok(args) => args,
        Err(error) => return program::usage(&error),
    };
    program::run("hub", args.log_format, |stop| run(&args, stop))
}

async fn run(args: &Args, stop: Stop) -> anyhow::Result<()> {
    // First: until it is heeded, the signal would end the program.
    let reload = program::reload_signals()?;
    let config = Config::try_from(args)?.within_open_files(program::raise_open_files());
    let public = args.listen.bind().await?;
    let admin = match &args.admin_listen {
        Some(addr) => Some(addr.bind().await.map_err(|error| {
            anyhow::anyhow!("admin listener: {error}; choose another with --admin-listen")
        })?),
        None => None,
    };
    hub::run(Listeners { public, admin }, config, reload, stop).await?;
    Ok(())
}
