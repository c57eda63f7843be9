//! The program `agent`: parse, build, run, exit code.

use std::process::ExitCode;
use std::sync::Arc;

use agent::fluentd::Supervisor;
use agent::{Args, Behind, Config, Exposed, HubHeaders, HubUris, Upstream, builtin_services};
use anyhow::{anyhow, ensure};
use tokio::sync::Notify;
use tonic::service::Routes;
use tracing::info;
use tunnel::log::Log;
use tunnel::program::{self, Stop};
use tunnel::tls::{Identity, Trust};

fn main() -> ExitCode {
    let args = match Args::from_line(std::env::args_os()) {
        Ok(args) => args,
        Err(error) => return program::usage(&error),
    };
    program::run("agent", &args.log(), |stop, log| run(args, stop, log))
}

async fn run(args: Args, stop: Stop, log: Log) -> anyhow::Result<()> {
    // First: until it is heeded, the signal would end the program.
    let signals = program::reload_signals()?;
    let supervisor = args.fluentd_command.clone().map(Supervisor::new);
    let config = Config { log, ..config(args, supervisor.clone()).await? };
    let reload = config.reload.clone();
    tokio::select! {
        ended = agent::run(config, stop) => ended?,
        () = pass_on(signals, reload) => {}
    }
    if let Some(supervisor) = supervisor {
        supervisor.shutdown().await;
    }
    Ok(())
}

/// For ever.
async fn pass_on(mut signals: impl AsyncFnMut(), reload: Arc<Notify>) {
    loop {
        signals().await;
        reload.notify_one();
    }
}

async fn config(args: Args, supervisor: Option<Supervisor>) -> anyhow::Result<Config> {
    let services = builtin_services(supervisor);
    let mut exposed = args.behind.into_iter().map(|behind| exposed(behind, &services));
    let first = exposed.next().ok_or_else(|| anyhow!("no name given"))?;
    if let Some(path) = &args.token_file {
        // Later a missing file is waited for, but at the start it is a mistake.
        let token = std::fs::read_to_string(path)
            .map_err(|error| anyhow!("cannot read the token file {}: {error}", path.display()))?;
        ensure!(!token.trim().is_empty(), "the token file {} is empty", path.display());
    }
    let admin = match &args.admin_listen {
        Some(addr) => Some(Arc::new(addr.bind(false).await.map_err(|error| {
            anyhow!("admin listener: {error}; choose another with --admin-listen")
        })?)),
        None => None,
    };
    let hubs = HubUris::new(args.hub_uris).ok_or_else(|| anyhow!("no hub given"))?;
    let hub = hubs.first().clone();
    let hub_headers = HubHeaders { typed: args.hub_headers, file: args.hub_headers_file };
    // Later a mistake in the file is waited for, but not at the start.
    hub_headers.read()?;
    let proxy = args.proxy.unwrap_or_default();
    for hub in hubs.iter() {
        if let Some(proxy) = proxy.towards(&hub.host, hub.port)? {
            info!(%hub, %proxy, "a proxy leads to the hub");
        }
    }
    Ok(Config {
        others: exposed.collect(),
        hubs,
        hub_uris_only: args.hub_uri_only,
        token_file: args.token_file,
        hub_headers,
        proxy,
        trust: Trust::from_flags(args.tls_ca_file, args.tls_insecure_skip_verify),
        identity: Identity::from_flags(args.tls_cert_file, args.tls_key_file),
        sessions: args.sessions,
        labels: args.labels.into_iter().collect(),
        max_lanes: args.max_lanes,
        lane_memory: args.lane_memory.0,
        drain_timeout: args.drain_timeout,
        keepalive_interval: args.keepalive_interval,
        max_session_age: args.max_session_age,
        admin,
        ..Config::new(first, hub)
    })
}

/// What is said on the command line of one name; without a server, the services in this process are behind it.
fn exposed(behind: Behind, services: &Routes) -> Exposed {
    let Behind { name, upstream, authority, speaks, tls, .. } = behind;
    let services = || Upstream::Services(services.clone());
    Exposed {
        authority,
        speaks: speaks.into_iter().collect(),
        tls,
        ..Exposed::new(name, upstream.map_or_else(services, Upstream::Server))
    }
}
