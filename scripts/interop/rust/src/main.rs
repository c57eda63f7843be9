//! The gRPC interop cases on tonic: `client` runs cases, `server` serves them.

mod cases;
mod client;
mod duplex;
mod echo;
mod server;

use std::path::PathBuf;

use clap::{Args, Parser};

/// Package `grpc.testing`.
#[allow(missing_docs, unreachable_pub, unused_qualifications, reason = "generated")]
#[allow(clippy::all, clippy::use_self, reason = "generated")]
mod testing {
    tonic::include_proto!("grpc.testing");
}

/// What it is asked to be.
#[derive(Debug, Parser)]
#[command(about)]
enum Command {
    /// Runs the cases named and prints one JSON line for each.
    Client(ClientArgs),
    /// Serves; prints `READY address` when it listens.
    Server(ServerArgs),
}

/// The command line that all clients share.
#[derive(Args, Debug)]
struct ClientArgs {
    /// host:port
    #[arg(long)]
    target: String,
    /// Metadata `name` of every call.
    #[arg(long)]
    name: Option<String>,
    #[arg(long)]
    tls_ca_file: Option<PathBuf>,
    /// Iterations of the soaks.
    #[arg(long, default_value_t = 10)]
    soak: u32,
    #[arg(required = true)]
    cases: Vec<String>,
}

/// The command line that the ports' servers share.
#[derive(Args, Debug)]
struct ServerArgs {
    #[arg(long, requires = "tls_key_file")]
    tls_cert_file: Option<PathBuf>,
    #[arg(long)]
    tls_key_file: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    match Command::parse() {
        Command::Client(args) => client::run(&args).await,
        Command::Server(args) => server::run(&args).await,
    }
}

/// Prints a line: what a program that starts this one waits for.
#[allow(clippy::print_stdout, reason = "the one place that prints")]
fn say(line: impl std::fmt::Display) {
    println!("{line}");
}
