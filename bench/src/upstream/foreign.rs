//! Servers that are not ours, if they are here: nginx, and Netty on Java.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};
use bench::foreign::{free_port, keep};
use bench::role::announce;

/// Where packages put it.
const NGINX: &str = "/usr/sbin/nginx";
/// Java takes a program's source as it is.
const NETTY_SERVER: &str = include_str!("../../netty/Server.java");

/// Whether nginx is installed.
pub(crate) fn has_nginx() -> bool {
    Path::new(NGINX).exists()
}

/// Runs nginx until standard input ends.
pub(super) fn nginx() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let address = free_port()?;
    fs::write(dir.path().join("nginx.conf"), nginx_config(address))?;
    // Its head is there at once, its body takes hours.
    fs::create_dir_all(dir.path().join("html/bench.Bench"))?;
    fs::write(dir.path().join("html/bench.Bench/Head"), vec![b'x'; 1 << 20])?;
    let nginx = Command::new(NGINX)
        .arg("-p")
        .arg(dir.path())
        .args(["-c", "nginx.conf", "-e", "error.log"])
        .stdin(Stdio::null())
        .spawn()
        .context("cannot start nginx")?;
    announce(&format!("listening {address}"));
    keep(nginx)
}

/// By default nginx ends a connection after 1,000 requests, whoever makes them: not what is measured here.
fn nginx_config(address: SocketAddr) -> String {
    format!(
        "daemon off; master_process off; pid nginx.pid;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  server {{
    listen {address} http2;
    root html;
    location = /bench.Bench/Echo {{
      default_type application/grpc;
      add_header grpc-status 0;
      return 200;
    }}
    location / {{ limit_rate 16; error_page 405 =200 $uri; }}
  }}
}}
"
    )
}

/// Runs `netty/Server.java` with the jars in this folder until standard input ends.
pub(super) fn netty(jars: &Path) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let source = dir.path().join("Server.java");
    fs::write(&source, NETTY_SERVER)?;
    let mut java = Command::new("java")
        .args(["-Xmx256m", "-cp"])
        .arg(jars.join("*"))
        .arg(source)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start java")?;
    let mut said = String::new();
    BufReader::new(java.stdout.take().context("no output")?).read_line(&mut said)?;
    announce(said.trim());
    keep(java)
}
