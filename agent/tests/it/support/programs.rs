//! `hub` and `agent`, started and ready.

use std::net::SocketAddr;

use rustix::process::Signal;

use super::binaries;
use super::process::{Ended, Process, command};

/// Any free port of loopback.
pub(crate) const ANY_PORT: &str = "127.0.0.1:0";

/// A hub that listens.
pub(crate) struct Hub {
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
    tls: bool,
}

impl Hub {
    /// Starts a hub on a port of its own.
    pub(crate) async fn start(args: &[&str]) -> Self {
        Self::start_at(ANY_PORT, args, &[]).await
    }

    /// Starts a hub at an address, with variables in its environment.
    pub(crate) async fn start_at(listen: &str, args: &[&str], env: &[(&str, &str)]) -> Self {
        let fixed = ["--listen", listen, "--admin-listen", ANY_PORT, "--workers", "2"];
        let json = ["--log-format", "json"];
        let all = fixed.iter().chain(&json).chain(args).copied();
        let mut command = command(binaries::hub(), all);
        command.envs(env.iter().copied());
        let process = Process::start(command);
        let line = process.log.said("listening", &[]).await;
        let address = line.field("address").parse().unwrap();
        Self { process, address, tls: args.contains(&"--tls") }
    }

    /// What an agent's `--hub-uri` is.
    pub(crate) fn uri(&self) -> String {
        let scheme = if self.tls { "wss" } else { "ws" };
        format!("{scheme}://{}/ws", self.address)
    }

    /// Starts an agent for this hub, and waits until the hub shows the name to callers.
    pub(crate) async fn agent(&self, name: &str, args: &[&str]) -> Agent {
        let agent = Agent::start(name, &self.uri(), args);
        self.registered(name).await;
        agent
    }

    /// Waits until the hub shows the name to callers.
    pub(crate) async fn registered(&self, name: &str) {
        self.process.log.said("registered", &[("name", name)]).await;
    }

    /// Asks it to stop, and waits for its end.
    pub(crate) async fn stop(self) -> Ended {
        self.process.signal(Signal::TERM);
        self.process.end().await
    }
}

/// An agent that may or may not be registered.
pub(crate) struct Agent {
    pub(crate) process: Process,
}

impl Agent {
    /// Starts an agent.
    pub(crate) fn start(name: &str, hub_uri: &str, args: &[&str]) -> Self {
        Self::start_with(name, hub_uri, args, &[])
    }

    /// Starts an agent with variables in its environment.
    pub(crate) fn start_with(
        name: &str,
        hub_uri: &str,
        args: &[&str],
        env: &[(&str, &str)],
    ) -> Self {
        let fixed = ["--name", name, "--hub-uri", hub_uri, "--log-format", "json"];
        let mut command = command(binaries::agent(), fixed.iter().chain(args).copied());
        command.envs(env.iter().copied());
        Self { process: Process::start(command) }
    }

    /// Asks it to stop, and waits for its end.
    pub(crate) async fn stop(self) -> Ended {
        self.process.signal(Signal::TERM);
        self.process.end().await
    }
}

/// Runs `hub` to its end.
pub(crate) async fn run_hub(args: &[&str]) -> Ended {
    Process::start(command(binaries::hub(), args.iter().copied())).end().await
}

/// Runs `agent` to its end.
pub(crate) async fn run_agent(args: &[&str]) -> Ended {
    Process::start(command(binaries::agent(), args.iter().copied())).end().await
}
