//! The program `hub`: parse, bind, run, exit code.

use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use clap::Parser;
use hub::{Args, Config, Listeners};
use listenfd::ListenFd;
use tokio::net::TcpListener;
use tunnel::log::Log;
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
    program::run("hub", &args.log(), |stop, log| run(&args, stop, log))
}

async fn run(args: &Args, stop: Stop, log: Log) -> anyhow::Result<()> {
    // First: until it is heeded, the signal would end the program.
    let reload = program::reload_signals()?;
    let config = Config { log, ..Config::try_from(args)? };
    let config = config.within_open_files(program::raise_open_files());
    let listeners = listeners(args).await?;
    hub::run(listeners, config, reload, stop).await?;
    Ok(())
}

/// Those that a service manager has passed on, the public one first, and otherwise what the command line says.
async fn listeners(args: &Args) -> anyhow::Result<Listeners> {
    let mut passed = ListenFd::from_env();
    let public = passed.take_tcp_listener(0).context("the first socket passed on")?;
    let shares_port = args.reuse_port && public.is_none();
    let public = match public {
        Some(listener) => taken(listener)?,
        None => args.listen.bind(args.reuse_port).await?,
    };
    let admin = match (passed.take_tcp_listener(1), &args.admin_listen) {
        (Ok(Some(listener)), _) => Some(taken(listener)?),
        (_, Some(addr)) => Some(addr.bind(args.reuse_port).await.map_err(|error| {
            anyhow!("admin listener: {error}; choose another with --admin-listen")
        })?),
        (_, None) => None,
    };
    let peers = match &args.peer_listen {
        Some(addr) => Some(addr.bind(false).await.map_err(|error| {
            anyhow!("listener for other hubs: {error}; choose another with --peer-listen")
        })?),
        None => None,
    };
    Ok(Listeners { public, admin, peers, shares_port })
}

fn taken(listener: std::net::TcpListener) -> std::io::Result<TcpListener> {
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}
