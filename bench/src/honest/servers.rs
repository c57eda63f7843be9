//! Servers behind the agent: which there are, whether they are here, and running them.

mod configs;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};
use bench::child::{Program, Stderr, utf8};
use bench::foreign::{self, free_port, wait_until_it_listens};
use tempfile::TempDir;

use crate::args::Table;
use crate::caller::{Ask, Target};
use crate::rows::ALLOWED;
use crate::server::{ECHO, HOLD};

/// One server, and how it is configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Server {
    Tonic,
    Limit100,
    Go,
    GoAge,
    GoIdle,
    CCore,
    CCoreAge,
    CCoreIdle,
    Node,
    Hypercorn,
    Apache,
    HaProxy,
    EnvoyAge,
    EnvoyIdle,
    Nginx,
    Nginx100,
}

/// What runs a server.
enum Runs {
    /// This program.
    Own(Vec<String>),
    /// A program that says where it listens.
    Tells(PathBuf, Vec<String>),
    /// A program that is told where to listen, in a file of its own folder.
    Told(PathBuf, Vec<String>),
}

impl Server {
    /// By which rows are found.
    pub(crate) fn id(self) -> String {
        format!("{self:?}").to_lowercase()
    }

    /// In the words of the table.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Tonic => "tonic",
            Self::Limit100 => "tonic, 100 streams a connection",
            Self::Go => "grpc-go",
            Self::GoAge => "grpc-go, connections live 3 s",
            Self::GoIdle => "grpc-go, idle connections live 5 s",
            Self::CCore => "C-core (Python)",
            Self::CCoreAge => "C-core (Python), connections live 3 s",
            Self::CCoreIdle => "C-core (Python), idle connections live 5 s",
            Self::Node => "Node.js",
            Self::Hypercorn => "hypercorn, idle connections live 5 s",
            Self::Apache => "Apache httpd, idle connections live 5 s",
            Self::HaProxy => "HAProxy, idle connections live 5 s",
            Self::EnvoyAge => "Envoy, connections live 3 s",
            Self::EnvoyIdle => "Envoy, idle connections live 5 s",
            Self::Nginx => "nginx",
            Self::Nginx100 => "nginx, 100 requests a connection",
        }
    }

    /// Whether it speaks gRPC.
    pub(crate) fn is_grpc(self) -> bool {
        use Server::*;
        matches!(self, Tonic | Limit100 | Go | GoAge | GoIdle | CCore | CCoreAge | CCoreIdle)
    }

    /// A call that is answered at once.
    pub(crate) fn echo(self) -> Ask {
        if self.is_grpc() { Ask::grpc(ECHO, 64) } else { Ask::get("/echo") }
    }

    /// One that begins to be answered, and is never done.
    pub(crate) fn hold(self) -> Ask {
        if self.is_grpc() { Ask::grpc(HOLD, 1) } else { Ask::get("/hold") }
    }

    /// Why it cannot be had.
    pub(crate) fn missing(self, table: &Table) -> Option<&'static str> {
        let needed = match self.runs(table, Path::new("")) {
            Runs::Own(_) => return None,
            // The program, and what it is told to run.
            Runs::Tells(program, args) => {
                [program].into_iter().chain(args.first().map(PathBuf::from)).collect()
            }
            Runs::Told(program, _) => vec![program],
        };
        let here = |path: &PathBuf| !path.is_absolute() || path.exists();
        (!needed.iter().all(here)).then_some("not installed")
    }

    fn runs(self, table: &Table, dir: &Path) -> Runs {
        let tools = tools(table);
        let own = |args: &[&str]| Runs::Own(owned(args));
        let go =
            |args: &[&str]| Runs::Tells(tools.join("go"), owned(&[&["server"], args].concat()));
        let python = |script: &str, args: &[&str]| {
            let script = tools.join("servers").join(script).display().to_string();
            let args = owned(&[&[script.as_str()], args].concat());
            Runs::Tells(tools.join("venv/bin/python"), args)
        };
        let told = |program: &str, args: &[&str]| Runs::Told(program.into(), owned(args));
        let file = dir.join(configs::FILE).display().to_string();
        let folder = dir.display().to_string();
        match self {
            Self::Tonic => own(&[]),
            Self::Limit100 => own(&["--streams", &ALLOWED.to_string()]),
            Self::Go => go(&[]),
            Self::GoAge => go(&["-age", "3s"]),
            Self::GoIdle => go(&["-idle", "5s"]),
            Self::CCore => python("ccore.py", &[]),
            Self::CCoreAge => python("ccore.py", &["grpc.max_connection_age_ms=3000"]),
            Self::CCoreIdle => python("ccore.py", &["grpc.max_connection_idle_ms=5000"]),
            Self::Hypercorn => python("hypercorn_app.py", &[]),
            Self::Node => {
                let script = tools.join("servers/server.js").display().to_string();
                Runs::Tells(in_path("node"), vec![script])
            }
            Self::Apache => told("/usr/sbin/apache2", &["-X", "-f", &file]),
            Self::HaProxy => told("/usr/sbin/haproxy", &["-db", "-f", &file]),
            Self::Nginx | Self::Nginx100 => {
                told("/usr/sbin/nginx", &["-p", &folder, "-c", configs::FILE, "-e", "stderr"])
            }
            Self::EnvoyAge | Self::EnvoyIdle => {
                let args = ["--disable-hot-restart", "--concurrency", "1", "-l", "error", "-c"];
                Runs::Told(tools.join("envoy"), owned(&[&args, &[file.as_str()][..]].concat()))
            }
        }
    }
}

fn owned(args: &[&str]) -> Vec<String> {
    args.iter().map(|arg| (*arg).to_owned()).collect()
}

/// The folder with servers and callers in other languages.
pub(crate) fn tools(table: &Table) -> PathBuf {
    std::path::absolute(&table.tools).unwrap_or_else(|_| table.tools.clone())
}

/// Where a program is that may be in any of the usual folders; somewhere else it is not installed.
fn in_path(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found =
        std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.exists());
    found.unwrap_or_else(|| Path::new("/usr/bin").join(name))
}

/// A server that runs.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    program: Program,
    _dir: TempDir,
}

impl Running {
    /// Starts a server at any port.
    pub(crate) fn start(table: &Table, server: Server) -> Result<Self> {
        Self::at(table, server, free_port()?)
    }

    /// Starts it there, if it can be told.
    pub(crate) fn at(table: &Table, server: Server, address: SocketAddr) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let at = address.to_string();
        let (args, tells) = match server.runs(table, dir.path()) {
            Runs::Own(args) => {
                (owned(&["server", "--address", &at]).into_iter().chain(args).collect(), true)
            }
            Runs::Tells(program, args) => (kept(&program, args)?, true),
            Runs::Told(program, args) => {
                configs::write(server, address, dir.path())?;
                (kept(&program, args)?, false)
            }
        };
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let own = std::env::current_exe()?;
        let mut program = Program::start(dir.path(), &server.id(), &own, &args, Stderr::File)?;
        let address = if tells {
            let listening = |line: &str| line.strip_prefix("listening ").map(str::to_owned);
            program.said("where it listens", listening)?.parse()?
        } else {
            wait_until_it_listens(address, || program.runs())?;
            address
        };
        Ok(Self { address, program, _dir: dir })
    }

    /// Whom to call so as to reach it directly.
    pub(crate) fn target(&self) -> Target {
        Target { address: self.address, name: None }
    }

    /// All that it has said so far.
    pub(crate) fn text(&self) -> String {
        self.program.text()
    }
}

/// The command line of this program that runs another.
pub(crate) fn kept(program: &Path, args: Vec<String>) -> Result<Vec<String>> {
    let keep = ["keep".to_owned(), utf8(program)?.to_owned()];
    Ok(keep.into_iter().chain(args).collect())
}

/// Runs a program until it ends, or standard input does.
pub(crate) fn keep(program: &Path, args: &[String]) -> Result<()> {
    let child = Command::new(program).args(args).stdin(Stdio::null()).spawn();
    foreign::keep(child.with_context(|| format!("cannot start {}", program.display()))?)
}
