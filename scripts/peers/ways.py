"""The ways to a server that are measured: straight, over plain TCP, through tunnels, through the hub."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
from dataclasses import dataclass, field
from pathlib import Path

from harness import TOOLS, Failed, command, eventually, logged

# Where a server's files are is not in everybody's path.
PATH = f"{os.environ['PATH']}:/usr/sbin"
NAME = "upstream"
# Envoy's names for the two ends of its tunnel.
NODE, TUNNEL = "inside", "outside"


@dataclass
class Way:
    """A way that is up."""

    port: int
    processes: list = field(default_factory=list)
    tls: bool = False

    def cpu_s(self):
        """Processor time that its programs have taken."""
        tick = os.sysconf("SC_CLK_TCK")
        stats = [Path(f"/proc/{p.popen.pid}/stat").read_text() for p in self.processes]
        return sum(sum(map(int, stat.rsplit(") ", 1)[1].split()[11:13])) for stat in stats) / tick


def free_port():
    """A port that nobody listens at, for programs that cannot say which they have taken."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until_open(port):
    """Waits until somebody listens."""

    def connects():
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    eventually(connects, f"port {port} is open", limit_s=20)


def straight(world, upstream):
    """No hop at all."""
    return Way(upstream)


def two_haproxies(world, upstream):
    """Two programs that copy bytes: what two hops cost at least."""
    haproxy = shutil.which("haproxy", path=PATH) or "haproxy"
    way = Way(upstream)
    for title in ("haproxy-inside", "haproxy-outside"):
        port = free_port()
        config = world.logs / f"{title}.cfg"
        config.write_text(
            "global\n  maxconn 5000\n"
            "defaults\n  mode tcp\n"
            "  timeout connect 5s\n  timeout client 1h\n  timeout server 1h\n"
            f"listen hop\n  bind 127.0.0.1:{port}\n  server next 127.0.0.1:{way.port}\n"
        )
        process = world.start(title, [haproxy, "-db", "-f", config])
        until_open(port)
        way = Way(port, [*way.processes, process])
    return way


def frp(world, upstream):
    """frp's tcp proxy, on its default multiplexed connection; without TLS."""
    server, port = free_port(), free_port()
    hosts = ("--bind-addr", "127.0.0.1", "--proxy-bind-addr", "127.0.0.1")
    outside = world.start("frps", [TOOLS / "peers/frps", *hosts, "--bind-port", server])
    until_open(server)
    argv = [TOOLS / "peers/frpc", "tcp", "--server-port", server, "--tls-enable=false"]
    argv += ["--proxy-name", NAME, "--local-port", upstream, "--remote-port", port]
    inside = world.start("frpc", argv)
    until_open(port)
    return Way(port, [outside, inside])


def chisel(world, upstream):
    """chisel's reverse port, which is always encrypted (SSH inside a WebSocket)."""
    server, port = free_port(), free_port()
    argv = [TOOLS / "peers/chisel", "server", "--reverse", "--host", "127.0.0.1", "--port", server]
    outside = world.start("chisel-server", argv)
    until_open(server)
    remote = f"R:127.0.0.1:{port}:127.0.0.1:{upstream}"
    argv = [TOOLS / "peers/chisel", "client", f"http://127.0.0.1:{server}", remote]
    inside = world.start("chisel-client", argv)
    until_open(port)
    return Way(port, [outside, inside])


def piko(world, upstream):
    """piko's TCP endpoint: gRPC does not pass its HTTP proxy. Its callers run a third program."""
    names = ("proxy", "upstream", "admin", "cluster.gossip")
    ports = {name: free_port() for name in names}
    argv = [TOOLS / "peers/piko", "server", "--usage.disable"]
    for name, port in ports.items():
        argv += [f"--{name}.bind-addr", f"127.0.0.1:{port}"]
    outside = world.start("piko-server", argv)
    until_open(ports["upstream"])
    argv = [TOOLS / "peers/piko", "agent", "tcp", NAME, f"127.0.0.1:{upstream}"]
    argv += ["--connect.url", f"http://127.0.0.1:{ports['upstream']}"]
    argv += ["--server.bind-addr", f"127.0.0.1:{free_port()}"]
    inside = world.start("piko-agent", argv)
    port = free_port()
    argv = [TOOLS / "peers/piko", "forward", "tcp", f"127.0.0.1:{port}", NAME]
    argv += ["--connect.url", f"http://127.0.0.1:{ports['proxy']}"]
    forward = world.start("piko-forward", argv)
    until_open(port)
    return Way(port, [outside, inside, forward])


def envoy(world, upstream):
    """Envoy's reverse tunnel (experimental): HTTP/2 from end to end, routed by node."""
    port, tunnel = free_port(), free_port()
    configs = {"envoy-outside": outside(port, tunnel), "envoy-inside": inside(tunnel, upstream)}
    way = Way(port)
    for number, (title, config) in enumerate(configs.items()):
        path = world.logs / f"{title}.json"
        path.write_text(json.dumps(config))
        argv = [TOOLS / "honest/envoy", "--config-path", path, "--base-id", os.getpid() + number]
        way.processes.append(world.start(title, [*argv, "--log-level", "error"]))
        until_open(tunnel)

    def serves():
        asked = f"http://127.0.0.1:{port}/bench.Bench/Upload"
        argv = ("curl", "-s", "--http2-prior-knowledge", "-o", "-", "-w", "%{http_code}", "-d", "x")
        return command(*argv, asked).stdout.endswith("200")

    eventually(serves, "Envoy's tunnel is up", limit_s=20)
    return way


def proto(name, **fields):
    """A message by its type."""
    return {"@type": f"type.googleapis.com/{name}", **fields}


def socket_address(port, host="127.0.0.1", **more):
    """An address."""
    return {"socket_address": {"address": host, "port_value": port, **more}}


def cluster_at(name, port, **more):
    """A cluster of one server."""
    endpoint = {"endpoint": {"address": socket_address(port)}}
    assignment = {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]}
    return {"name": name, "type": "STATIC", "load_assignment": assignment, **more}


def http2_only():
    """A cluster that is spoken to by HTTP/2."""
    options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    http2 = {"explicit_http_config": {"http2_protocol_options": {}}}
    return {options: proto(options, **http2)}


def routed_to(cluster):
    """A filter chain that sends every request to one cluster."""
    manager = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
    router = proto("envoy.extensions.filters.http.router.v3.Router")
    route = {"match": {"prefix": "/"}, "route": {"cluster": cluster, "timeout": "0s"}}
    host = {"name": "all", "domains": ["*"], "routes": [route]}
    config = proto(
        manager,
        stat_prefix="http",
        codec_type="AUTO",
        route_config={"virtual_hosts": [host]},
        http_filters=[{"name": "envoy.filters.http.router", "typed_config": router}],
    )
    return [{"filters": [{"name": "http", "typed_config": config}]}]


def outside(port, tunnel):
    """Envoy where the callers are: takes the tunnel, and sends requests into it."""
    extension = "envoy.extensions.bootstrap.reverse_tunnel.upstream_socket_interface.v3"
    accepts = proto("envoy.extensions.filters.network.reverse_tunnel.v3.ReverseTunnel")
    reverse = "envoy.extensions.clusters.reverse_connection.v3.ReverseConnectionClusterConfig"
    cluster = {
        "name": "tunnels",
        "lb_policy": "CLUSTER_PROVIDED",
        "connect_timeout": "10s",
        "cluster_type": {
            "name": "envoy.clusters.reverse_connection",
            "typed_config": proto(reverse, cleanup_interval="60s", host_id_format=NODE),
        },
        "typed_extension_protocol_options": http2_only(),
    }
    accept = {"name": "envoy.filters.network.reverse_tunnel", "typed_config": accepts}
    tunnels = {
        "name": "tunnels",
        "address": socket_address(tunnel),
        "filter_chains": [{"filters": [accept]}],
    }
    callers = {
        "name": "callers",
        "address": socket_address(port),
        "filter_chains": routed_to("tunnels"),
    }
    return {
        "node": {"id": TUNNEL, "cluster": TUNNEL},
        "bootstrap_extensions": [
            {
                "name": "envoy.bootstrap.reverse_tunnel.upstream_socket_interface",
                "typed_config": proto(f"{extension}.UpstreamReverseConnectionSocketInterface"),
            }
        ],
        "static_resources": {"listeners": [tunnels, callers], "clusters": [cluster]},
    }


def inside(tunnel, upstream):
    """Envoy beside the server: dials the tunnel, and passes on what comes by it."""
    extension = "envoy.extensions.bootstrap.reverse_tunnel.downstream_socket_interface.v3"
    address = f"rc://{NODE}:{NODE}:tenant@{TUNNEL}:1"
    dials = {
        "name": "dials",
        "listener_filters_timeout": "0s",
        "address": socket_address(0, address, resolver_name="envoy.resolvers.reverse_connection"),
        "filter_chains": routed_to("server"),
    }
    server = cluster_at("server", upstream, typed_extension_protocol_options=http2_only())
    return {
        "node": {"id": NODE, "cluster": NODE},
        "bootstrap_extensions": [
            {
                "name": "envoy.bootstrap.reverse_tunnel.downstream_socket_interface",
                "typed_config": proto(f"{extension}.DownstreamReverseConnectionSocketInterface"),
            }
        ],
        "static_resources": {"listeners": [dials], "clusters": [cluster_at(TUNNEL, tunnel), server]},
    }


def hub_of(bin_dir, *flags, tls=False):
    """A hub and an agent, of this build or another."""

    def start(world, upstream):
        secret = world.certificate() if tls else []
        argv = [bin_dir / "hub", "--listen", "127.0.0.1:0", "--admin-listen", "none", *flags]
        argv += ["--log-format", "json"] + (["--tls", *secret] if tls else [])
        hub = world.start("hub", argv)
        address = hub.wait_for(logged("listening"), "it listens")["address"]
        port = int(address.rsplit(":", 1)[1])
        scheme, host = ("wss", "localhost") if tls else ("ws", "127.0.0.1")
        argv = [bin_dir / "agent", "--name", NAME, "--upstream", f"127.0.0.1:{upstream}"]
        argv += ["--hub-uri", f"{scheme}://{host}:{port}/ws", "--log-format", "json"]
        argv += ["--tls-ca-file", world.ca] if tls else []
        agent = world.start("agent", argv)
        agent.wait_for(logged("registered"), "it is registered")
        return Way(port, [hub, agent], tls)

    return start


def version_of(way):
    """What a peer says of itself; ours have none to tell."""
    asked = {
        two_haproxies: (shutil.which("haproxy", path=PATH), "-v"),
        frp: (TOOLS / "peers/frps", "--version"),
        envoy: (TOOLS / "honest/envoy", "--version"),
    }
    if way in (chisel, piko):
        # They were not built with one.
        go_mod = Path(__file__).with_name("go") / "go.mod"
        return re.search(rf"/{way.__name__} v(\S+)", go_mod.read_text()).group(1)
    if way not in asked:
        return ""
    said = command(*asked[way])
    found = re.search(r"\d+\.\d+\.\d+", said.stdout + said.stderr)
    if not found:
        raise Failed(f"{way.__name__} does not tell its version")
    return found.group()
