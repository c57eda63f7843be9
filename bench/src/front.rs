//! A proxy between all callers and the hub, as it comes: it puts them on one connection.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};
use bench::foreign::{free_port, keep, wait_until_it_listens};
use bench::role::announce;

use crate::args::Front;

/// Where packages put it.
const NGHTTPX: &str = "/usr/sbin/nghttpx";

/// Why a front cannot be had; `envoy` is where its program would be.
pub(crate) fn missing(kind: Front, envoy: &Path) -> Option<&'static str> {
    match kind {
        Front::Nghttpx => (!Path::new(NGHTTPX).exists()).then_some("nghttpx is not installed"),
        Front::Envoy => (!envoy.exists()).then_some("without --envoy"),
    }
}

/// Runs it before the hub until standard input ends.
pub(crate) fn run(kind: Front, hub: SocketAddr, envoy: &Path) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let address = free_port()?;
    let mut command = match kind {
        Front::Nghttpx => nghttpx(address, hub),
        Front::Envoy => {
            let file = dir.path().join("front.yaml");
            fs::write(&file, envoy_config(address, hub))?;
            let mut command = Command::new(envoy);
            command.args(["--disable-hot-restart", "--concurrency", "1", "-l", "error", "-c"]);
            command.arg(file);
            command
        }
    };
    let mut front = command.stdin(Stdio::null()).spawn().context("cannot start the front")?;
    wait_until_it_listens(address, || matches!(front.try_wait(), Ok(None)))?;
    announce(&format!("listening {address}"));
    keep(front)
}

fn nghttpx(address: SocketAddr, hub: SocketAddr) -> Command {
    let mut command = Command::new(NGHTTPX);
    command.args(["--conf=/dev/null", "--workers=1", "--errorlog-file=/dev/null"]);
    command.arg(format!("--frontend={},{};no-tls", address.ip(), address.port()));
    command.arg(format!("--backend={},{};;proto=h2", hub.ip(), hub.port()));
    command
}

/// As it comes, but for what one of its callers would do to the others, hub or not: at 1,024 calls of all together it
/// refuses more, at 10,000 frames that wait to be sent it ends its own connection, and with stream windows of 16 MiB
/// two of its callers who do not read take all of the connection's.
fn envoy_config(address: SocketAddr, hub: SocketAddr) -> String {
    let at = |address: SocketAddr| {
        let (ip, port) = (address.ip(), address.port());
        format!("address: {{ socket_address: {{ address: {ip}, port_value: {port} }} }}")
    };
    let (address, hub) = (at(address), at(hub));
    let types = "type.googleapis.com/envoy.extensions";
    format!(
        "static_resources:
  listeners:
  - {address}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          \"@type\": {types}.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: front
          codec_type: HTTP2
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {{ \"@type\": {types}.filters.http.router.v3.Router }}
          route_config:
            virtual_hosts:
            - name: all
              domains: ['*']
              routes:
              - match: {{ prefix: / }}
                route: {{ cluster: hub, timeout: 0s }}
  clusters:
  - name: hub
    load_assignment:
      cluster_name: hub
      endpoints:
      - lb_endpoints:
        - endpoint: {{ {hub} }}
    circuit_breakers: {{ thresholds: [ {{ max_requests: 1000000 }} ] }}
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        \"@type\": {types}.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config:
          http2_protocol_options: {{ max_outbound_frames: 1000000, initial_stream_window_size: 65536 }}
"
    )
}
