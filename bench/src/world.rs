//! A hub, an agent with one session, and a server behind it, each a process of its own.

use std::fs;
use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::ValueEnum as _;
use serde_json::Value;
use tempfile::TempDir;

use crate::args::{Front, Kind, Table};
use crate::child::{Program, Stderr, beside, utf8};
use crate::rows::Row;

/// The name that everybody calls.
pub(crate) const NAME: &str = "shared";
/// How long the hub may take to tell its metrics.
const PATIENCE: Duration = Duration::from_secs(10);

/// What runs during one row.
pub(crate) struct World {
    /// Where callers connect: to the hub, or to the front before it.
    pub(crate) entry: Address,
    /// The hub itself.
    pub(crate) hub: Program,
    /// What the hub may hold for one client connection with a lane, by its own words.
    pub(crate) client_kib: u64,
    /// What all lanes may hold beyond that.
    pub(crate) lanes_kib: u64,
    /// Where the hub tells its metrics.
    admin: SocketAddr,
    front: Option<Program>,
    agent: Program,
    upstream: Program,
    dir: TempDir,
}

/// Credentials of those who come through a front, by which the hub tells them apart.
const AGENT_TOKEN: &str = "agent-token";
const ABUSER_TOKEN: &str = "abuser-token";
const BYSTANDER_TOKEN: &str = "bystander-token";
/// What the hub knows of them.
const AUTH_FILE: &str = r#"[[agents]]
id = "agent"
token_sha256 = "eb47b9ce4840a5b3ea138b8691253b78035b9289d9014409067e9844c272ef99"
names = ["*"]
[[callers]]
id = "abuser"
token_sha256 = "543d83b88a9959290c4f62c2eb1c2fcb66c9ac337234e973dd167adc3401f92c"
names = ["*"]
[[callers]]
id = "bystander"
token_sha256 = "a52dd1494f3298d1fce856abaf38741421079251b2cb1182dfcb03e6a19deb0f"
names = ["*"]
"#;

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
        let (upstream, server) = start_upstream(path, row.upstream, table)?;
        let certificate = row.tls.then(|| certificate(path)).transpose()?;
        let mut hub = start_hub(path, table, certificate.as_ref(), row)?;
        let listening = hub.logged("listening", None)?;
        let admin = text(&hub.logged("admin listening", None)?, "address").parse()?;
        let address: SocketAddr = text(&listening, "address").parse()?;
        let address = Address { address, cert: certificate.map(|(cert, _)| cert) };
        let agent = start_agent(path, table, &address, server, row)?;
        hub.logged("registered", Some(("name", NAME)))?;
        let kib = |key: &str| listening[key].as_u64().unwrap_or_default();
        let client_kib = kib("client_kib") + kib("lane_kib");
        let lanes_kib = kib("lane_memory_mib") << 10;
        let (front, entry) = match row.front {
            None => (None, address),
            Some(kind) => {
                start_front(path, table, kind, address.address).map(|(f, e)| (Some(f), e))?
            }
        };
        Ok(Self { entry, hub, client_kib, lanes_kib, admin, front, agent, upstream, dir })
    }

    /// The bystander's credential.
    pub(crate) fn bystander_token(&self) -> Option<&'static str> {
        self.front.as_ref().map(|_| BYSTANDER_TOKEN)
    }

    /// Starts somebody who misbehaves, and waits until it does.
    pub(crate) fn abuser(&self, row: &Row) -> Result<Program> {
        start_abuser(self.dir.path(), row, &self.entry)
    }

    /// The first of the programs that has ended though nobody asked it to.
    pub(crate) fn dead(&mut self) -> Option<&'static str> {
        let ours =
            [("hub", &mut self.hub), ("agent", &mut self.agent), ("upstream", &mut self.upstream)];
        let front = self.front.iter_mut().map(|front| ("front", front));
        ours.into_iter().chain(front).find_map(|(name, program)| (!program.runs()).then_some(name))
    }

    /// How many calls have been answered `upstream-closed`, by the hub's metrics.
    ///
    /// # Errors
    /// It does not tell.
    pub(crate) fn upstream_closed(&self) -> Result<u64> {
        let mut admin = TcpStream::connect(self.admin)?;
        admin.set_read_timeout(Some(PATIENCE))?;
        admin.write_all(b"GET /metrics HTTP/1.1\r\nhost: hub\r\nconnection: close\r\n\r\n")?;
        let metrics = io::read_to_string(admin)?;
        let calls = metrics.lines().filter(|line| {
            line.starts_with("hub_calls_total{") && line.contains("hub_reason=\"upstream-closed\"")
        });
        Ok(calls.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum())
    }
}

fn text<'a>(line: &'a Value, field: &str) -> &'a str {
    line[field].as_str().unwrap_or_default()
}

/// Whoever misbehaves in `row`, under way.
pub(crate) fn start_abuser(dir: &Path, row: &Row, entry: &Address) -> Result<Program> {
    let (hub, callers) = (entry.address.to_string(), row.callers.to_string());
    let mut args = vec!["abuse", row.abuse, "--hub", &hub, "--name", NAME, "--callers", &callers];
    if row.front.is_some() {
        args.extend(["--token", ABUSER_TOKEN]);
    }
    let mut abuser = own(dir, "abuser", &args)?;
    abuser.said("that it is ready", |line| (line == "ready").then_some(()))?;
    Ok(abuser)
}

/// A server, and where it listens.
pub(crate) fn start_upstream(
    dir: &Path,
    kind: Kind,
    table: &Table,
) -> Result<(Program, SocketAddr)> {
    let kind = kind.to_possible_value().context("a kind without a name")?;
    let mut args = vec!["upstream", "--kind", kind.get_name()];
    if let Some(jars) = &table.netty {
        args.extend(["--netty", utf8(jars)?]);
    }
    let mut upstream = own(dir, "upstream", &args)?;
    let address = upstream.said("where it listens", listens)?;
    Ok((upstream, address))
}

fn listens(line: &str) -> Option<SocketAddr> {
    line.strip_prefix("listening ")?.parse().ok()
}

fn start_hub(
    dir: &Path,
    table: &Table,
    certificate: Option<&(PathBuf, PathBuf)>,
    row: &Row,
) -> Result<Program> {
    let program = beside(table.hub.as_ref(), "hub")?;
    let auth = dir.join("auth.toml");
    let mut args = vec!["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];
    args.extend(["--log-format", "json"]);
    if row.front.is_some() {
        fs::write(&auth, AUTH_FILE)?;
        args.extend(["--auth-file", utf8(&auth)?]);
    }
    if let Some((cert, key)) = certificate {
        args.extend(["--tls", "--tls-cert-file", utf8(cert)?, "--tls-key-file", utf8(key)?]);
    }
    Program::start(dir, "hub", &program, &args, row.stderr)
}

/// A front before a hub, or before any other server.
pub(crate) fn start_front(
    dir: &Path,
    table: &Table,
    kind: Front,
    hub: SocketAddr,
) -> Result<(Program, Address)> {
    let kind = kind.to_possible_value().context("a kind without a name")?;
    let (hub, envoy) = (hub.to_string(), utf8(&table.envoy)?);
    let args = ["front", "--kind", kind.get_name(), "--hub", &hub, "--envoy", envoy];
    let mut front = own(dir, "front", &args)?;
    let address = front.said("where it listens", listens)?;
    Ok((front, Address { address, cert: None }))
}

fn start_agent(
    dir: &Path,
    table: &Table,
    hub: &Address,
    server: SocketAddr,
    row: &Row,
) -> Result<Program> {
    let server = server.to_string();
    let program = beside(table.agent.as_ref(), "agent")?;
    let scheme = if hub.cert.is_some() { "wss" } else { "ws" };
    let uri = format!("{scheme}://{}/ws", hub.address);
    let mut args =
        vec!["--name", NAME, "--hub-uri", &uri, "--upstream", &server, "--sessions", "1"];
    if let Some(cert) = &hub.cert {
        args.extend(["--tls-ca-file", utf8(cert)?]);
    }
    let token = dir.join("agent-token");
    if row.front.is_some() {
        fs::write(&token, AGENT_TOKEN)?;
        args.extend(["--token-file", utf8(&token)?]);
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
