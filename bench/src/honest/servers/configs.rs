//! Configurations of servers that read one from a file.

use std::fs::{self, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::Result;

use super::Server;

/// Its name in the server's folder; Envoy goes by the ending.
pub(super) const FILE: &str = "server.yaml";
/// So large that a slow answer takes minutes.
const LARGE: usize = 1 << 20;

/// Writes the configuration of a server into its folder.
pub(super) fn write(server: Server, address: SocketAddr, dir: &Path) -> Result<()> {
    let text = match server {
        Server::Apache => apache(address, dir),
        Server::HaProxy => haproxy(address),
        Server::EnvoyAge => envoy(address, "max_connection_duration: 3s"),
        Server::EnvoyIdle => envoy(address, "idle_timeout: 5s"),
        Server::Nginx100 => nginx(address, 100),
        // By default it ends a connection after 1,000 requests: a row of its own.
        _ => nginx(address, 1_000_000_000),
    };
    fs::write(dir.join(FILE), text)?;
    fs::create_dir_all(dir.join("html"))?;
    fs::write(dir.join("html/echo"), "ok")?;
    fs::write(dir.join("html/hold"), vec![b'x'; LARGE])?;
    // Apache gives up being root before it reads files.
    fs::set_permissions(dir, Permissions::from_mode(0o755))?;
    Ok(())
}

/// Says when a slow answer has ended, in seconds with a fraction, filled up to nanoseconds.
fn nginx(address: SocketAddr, requests: u32) -> String {
    format!(
        "daemon off; master_process off; pid nginx.pid;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  log_format gone 'gone $http_x_call ${{msec}}000000';
  keepalive_requests {requests};
  server {{
    listen {address} http2;
    root html;
    location = /echo {{ return 200 ok; }}
    location = /hold {{ limit_rate 4k; access_log /dev/stdout gone; }}
  }}
}}
"
    )
}

/// Its own defaults: 5 s of `KeepAliveTimeout`, after which HTTP/2 ends, too.
fn apache(address: SocketAddr, dir: &Path) -> String {
    let (dir, modules) = (dir.display(), "/usr/lib/apache2/modules");
    format!(
        "ServerRoot {dir}
PidFile {dir}/apache.pid
ServerName localhost
Listen {address}
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule http2_module {modules}/mod_http2.so
User nobody
Protocols h2c
ErrorLog /dev/stderr
LogLevel crit
DocumentRoot {dir}/html
"
    )
}

fn haproxy(address: SocketAddr) -> String {
    format!(
        "global
  nbthread 1
  maxconn 1000
defaults
  mode http
  timeout client 5s
  timeout connect 5s
  timeout server 5s
frontend honest
  bind {address} proto h2
  http-request return status 200 content-type text/plain string ok
"
    )
}

fn envoy(address: SocketAddr, limit: &str) -> String {
    let (ip, port) = (address.ip(), address.port());
    format!(
        "static_resources:
  listeners:
  - address: {{ socket_address: {{ address: {ip}, port_value: {port} }} }}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          \"@type\": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: honest
          codec_type: HTTP2
          common_http_protocol_options: {{ {limit} }}
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {{ \"@type\": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }}
          route_config:
            virtual_hosts:
            - name: all
              domains: ['*']
              routes:
              - match: {{ prefix: / }}
                direct_response: {{ status: 200, body: {{ inline_string: ok }} }}
"
    )
}
