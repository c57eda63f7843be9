//! A hub, an agent with one session, and a server behind it, each a process of its own.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::ValueEnum as _;
use serde_json::Value;
use tempfile::TempDir;

use crate::args::{Kind, Table};
use crate::child::{Program, Stderr, beside, utf8};
use crate::rows::Row;

/// The name that everybody calls.
pub(crate) const NAME: &str = "shared";

/// What runs during one row.
pub(crate) struct World {
    /// Where the hub listens.
    pub(crate) address: Address,
    /// The hub itself.
    pub(crate) hub: Program,
    /// What one stalled call may hold in the hub, by its own words.
    pub(crate) stalled_call_kib: u64,
    agent: Program,
    upstream: Program,
    dir: TempDir,
}

/// Where a hub listens, and its certificate if it speaks TLS.
#[derive(Clone)]
pub(crate) struct Address {
    pub(crate) address: SocketAddr,
    pub(crate) cert: Option<PathBuf>,
}

impl Address {
    /// `http` or `https`.
    pub(crate) fn scheme(&self) -> &'static str {
        if self.cert.is_some() { "https" } else { "http" }
    }
}

impl World {
    /// Starts it all, and waits until the name is registered.
    pub(crate) fn start(table: &Table, row: &Row) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let path = dir.path();
        let mut upstream = start_upstream(path, row.upstream, table)?;
        let server = upstream
            .said("where it listens", |line| line.strip_prefix("listening ").map(str::to_owned))?;
        let certificate = row.tls.then(|| certificate(path)).transpose()?;
        let mut hub = start_hub(path, table, certificate.as_ref(), row.stderr)?;
        let listening = hub.logged("listening", None)?;
        let address: SocketAddr = text(&listening, "address").parse()?;
        let address = Address { address, cert: certificate.map(|(cert, _)| cert) };
        let agent = start_agent(path, table, &address, &server)?;
        hub.logged("registered", Some(("name", NAME)))?;
        let stalled_call_kib = listening["stalled_call_kib"].as_u64().unwrap_or_default();
        Ok(Self { address, hub, stalled_call_kib, agent, upstream, dir })
    }

    /// Starts somebody who misbehaves, and waits until it does.
    pub(crate) fn abuser(&self, row: &Row) -> Result<Program> {
        let (hub, callers) = (self.address.address.to_string(), row.callers.to_string());
        let args = ["abuse", row.abuse, "--hub", &hub, "--name", NAME, "--callers", &callers];
        let mut abuser = own(self.dir.path(), "abuser", &args)?;
        abuser.said("that it is ready", |line| (line == "ready").then_some(()))?;
        Ok(abuser)
    }

    /// The first of the programs that has ended though nobody asked it to.
    pub(crate) fn dead(&mut self) -> Option<&'static str> {
        let programs =
            [("hub", &mut self.hub), ("agent", &mut self.agent), ("upstream", &mut self.upstream)];
        programs.into_iter().find_map(|(name, program)| (!program.runs()).then_some(name))
    }
}

fn text<'a>(line: &'a Value, field: &str) -> &'a str {
    line[field].as_str().unwrap_or_default()
}

fn start_upstream(dir: &Path, kind: Kind, table: &Table) -> Result<Program> {
    let kind = kind.to_possible_value().context("a kind without a name")?;
    let mut args = vec!["upstream", "--kind", kind.get_name()];
    if let Some(jars) = &table.netty {
        args.extend(["--netty", utf8(jars)?]);
    }
    own(dir, "upstream", &args)
}

fn start_hub(
    dir: &Path,
    table: &Table,
    certificate: Option<&(PathBuf, PathBuf)>,
    stderr: Stderr,
) -> Result<Program> {
    let program = beside(table.hub.as_ref(), "hub")?;
    let mut args =
        vec!["--listen", "127.0.0.1:0", "--admin-listen", "none", "--log-format", "json"];
    if let Some((cert, key)) = certificate {
        args.extend(["--tls", "--tls-cert-file", utf8(cert)?, "--tls-key-file", utf8(key)?]);
    }
    Program::start(dir, "hub", &program, &args, stderr)
}

fn start_agent(dir: &Path, table: &Table, hub: &Address, server: &str) -> Result<Program> {
    let program = beside(table.agent.as_ref(), "agent")?;
    let scheme = if hub.cert.is_some() { "wss" } else { "ws" };
    let uri = format!("{scheme}://{}/ws", hub.address);
    let mut args = vec!["--name", NAME, "--hub-uri", &uri, "--upstream", server, "--sessions", "1"];
    if let Some(cert) = &hub.cert {
        args.extend(["--tls-ca-file", utf8(cert)?]);
    }
    Program::start(dir, "agent", &program, &args, Stderr::File)
}

/// A certificate for loopback, and its key.
fn certificate(dir: &Path) -> Result<(PathBuf, PathBuf)> {
    let (cert, key) = (dir.join("cert.pem"), dir.join("key.pem"));
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()])?;
    fs::write(&cert, made.cert.pem())?;
    fs::write(&key, made.signing_key.serialize_pem())?;
    Ok((cert, key))
}

/// This program again, in another role.
fn own(dir: &Path, label: &str, args: &[&str]) -> Result<Program> {
    Program::start(dir, label, &std::env::current_exe()?, args, Stderr::File)
}
