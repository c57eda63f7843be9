//! A hub with the agents of a row, each a process of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use bench::child::{Program, Stderr, beside};
use tempfile::TempDir;

use crate::args::Table;
use crate::caller::Target;

/// What stands between callers and servers.
pub(crate) struct Site {
    /// Where the hub listens.
    pub(crate) hub: SocketAddr,
    hub_program: Program,
    agent: PathBuf,
    agents: Vec<Program>,
    dir: TempDir,
}

impl Site {
    /// Starts a hub, with these arguments besides.
    pub(crate) fn start(table: &Table, args: &[&str]) -> Result<Self> {
        Self::of(&beside(table.hub.as_ref(), "hub")?, beside(table.agent.as_ref(), "agent")?, args)
    }

    /// The same of another build.
    pub(crate) fn base(folder: &Path) -> Result<Self> {
        let program = |name| beside(Some(&folder.join(name)), name);
        Self::of(&program("hub")?, program("agent")?, &[])
    }

    fn of(hub: &Path, agent: PathBuf, more: &[&str]) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let fixed = ["--listen", "127.0.0.1:0", "--admin-listen", "none", "--log-format", "json"];
        let args = [&fixed, more].concat();
        let mut hub_program = Program::start(dir.path(), "hub", hub, &args, Stderr::File)?;
        let listening = hub_program.logged("listening", None)?;
        let hub = listening["address"].as_str().context("the hub does not say where")?.parse()?;
        Ok(Self { hub, hub_program, agent, agents: Vec::new(), dir })
    }

    /// Starts an agent, and waits until its name is registered.
    pub(crate) fn agent(&mut self, name: &str, server: SocketAddr) -> Result<()> {
        self.agent_before_server(name, server)?;
        if let Some(agent) = self.agents.last_mut() {
            agent.logged("registered", None)?;
        }
        Ok(())
    }

    /// Starts an agent.
    pub(crate) fn agent_before_server(&mut self, name: &str, server: SocketAddr) -> Result<()> {
        let (uri, server) = (format!("ws://{}/ws", self.hub), server.to_string());
        let args = ["--name", name, "--hub-uri", &uri, "--upstream", &server];
        let args = [&args[..], &["--log-format", "json"]].concat();
        let label = format!("agent-{}", self.agents.len());
        let agent = Program::start(self.dir.path(), &label, &self.agent, &args, Stderr::File)?;
        self.agents.push(agent);
        Ok(())
    }

    /// Whom to call so as to reach this name.
    pub(crate) fn target(&self, name: &str) -> Target {
        Target { address: self.hub, name: Some(name.to_owned()) }
    }

    /// The first of the programs that has ended though nobody asked it to, as a way in which a row is broken.
    pub(crate) fn dead(&mut self) -> Option<String> {
        let agents = self.agents.iter_mut().map(|agent| ("agent", agent));
        let mut all = [("hub", &mut self.hub_program)].into_iter().chain(agents);
        all.find_map(|(what, program)| (!program.runs()).then(|| format!("the {what} has ended")))
    }
}
