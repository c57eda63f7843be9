"""The ways to a server that are measured: straight, over plain TCP, through tunnels, through the hub."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
from dataclasses import dataclass, field
from pathlib import Path

import reverse_tunnel
from harness import TOOLS, Failed, check, command, eventually, free_ports, logged

# Where a server's files are is not in everybody's path.
PATH = f"{os.environ['PATH']}:/usr/sbin"
NAME = "upstream"
# As good as nginx gets here: a worker a core, all of the upload's window at once, and connections to the next hop that
# are kept, without end. It reads no request before it passes it on.
NGINX = """
daemon off;
worker_processes auto;
worker_rlimit_nofile 65536;
pid nginx.pid;
error_log stderr warn;
events { worker_connections 16384; }
http {
    access_log off;
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
    client_max_body_size 0;
    client_body_timeout 1h;
    http2_max_concurrent_streams 1024;
    http2_body_preread_size 4m;
    http2_chunk_size 16k;
    grpc_buffer_size 64k;
    grpc_read_timeout 1h;
    grpc_send_timeout 1h;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    upstream next {
        server 127.0.0.1:NEXT;
        keepalive 1024;
        keepalive_requests 1000000000;
        keepalive_timeout 1h;
    }
    server {
        listen 127.0.0.1:PORT http2 backlog=4096;
        location / { grpc_pass grpc://next; }
    }
}
"""


@dataclass
class Way:
    """A way that is up."""

    port: int
    processes: list = field(default_factory=list)
    tls: bool = False

    def cpu_s(self):
        """Processor time that its programs have taken, and those that they have started."""
        tick = os.sysconf("SC_CLK_TCK")
        stats = [Path(f"/proc/{pid}/stat").read_text() for pid in self.pids()]
        return sum(sum(map(int, stat.rsplit(") ", 1)[1].split()[11:13])) for stat in stats) / tick

    def pids(self):
        """Of its programs, and of their children."""
        for process in self.processes:
            pid = process.popen.pid
            yield pid
            yield from Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def free_port():
    """One of them."""
    return free_ports(1)[0]


def until_open(port):
    """Waits until somebody listens."""

    def connects():
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    eventually(connects, f"port {port} is open", limit_s=20)


def program(name):
    """Where a server is."""
    found = shutil.which(name, path=PATH)
    check(found, f"{name} is not installed")
    return found


def straight(world, upstream):
    """No hop at all."""
    return Way(upstream)


def two_haproxies(world, upstream):
    """Two programs that copy bytes: what two hops cost at least."""
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
        process = world.start(title, [program("haproxy"), "-db", "-f", config])
        until_open(port)
        way = Way(port, [*way.processes, process])
    return way


def two_nginxes(world, upstream):
    """Two programs that pass gRPC on, call by call; each call has a connection to the next for itself."""
    way = Way(upstream)
    for title in ("nginx-inside", "nginx-outside"):
        port, folder = free_port(), world.logs / title
        folder.mkdir()
        config = folder / "nginx.conf"
        config.write_text(NGINX.replace("PORT", str(port)).replace("NEXT", str(way.port)))
        argv = [program("nginx"), "-p", folder, "-c", config, "-e", "stderr"]
        process = world.start(title, argv)
        until_open(port)
        way = Way(port, [*way.processes, process])
    return way


def frp(world, upstream):
    """frp's tcp proxy: without TLS, and a connection of its own for each that comes, made in advance."""
    server, port = free_port(), free_port()
    common = "transport.tcpMux = false\n"
    outside = configured(
        world,
        "frps",
        f'bindAddr = "127.0.0.1"\nbindPort = {server}\n{common}transport.maxPoolCount = 32\n',
    )
    until_open(server)
    inside = configured(
        world,
        "frpc",
        f'serverAddr = "127.0.0.1"\nserverPort = {server}\n{common}transport.poolCount = 32\n'
        "transport.tls.enable = false\n"
        f'[[proxies]]\nname = "{NAME}"\ntype = "tcp"\n'
        f'localIP = "127.0.0.1"\nlocalPort = {upstream}\nremotePort = {port}\n',
    )
    until_open(port)
    return Way(port, [outside, inside])


def rathole(world, upstream):
    """rathole's tcp service: without TLS, and a connection of its own for each that comes."""
    check((TOOLS / "peers/rathole").exists(), "it was not installed")
    server, port = free_port(), free_port()
    common = 'default_token = "none"\n'
    outside = configured(
        world,
        "rathole",
        f'[server]\nbind_addr = "127.0.0.1:{server}"\n{common}'
        f'[server.services.{NAME}]\nbind_addr = "127.0.0.1:{port}"\n',
    )
    until_open(server)
    inside = configured(
        world,
        "rathole",
        f'[client]\nremote_addr = "127.0.0.1:{server}"\n{common}'
        f'[client.services.{NAME}]\nlocal_addr = "127.0.0.1:{upstream}"\n',
    )
    until_open(port)
    return Way(port, [outside, inside])


def configured(world, name, config):
    """Starts a tunnel that reads a file."""
    path = world.logs / f"{name}-{free_port()}.toml"
    path.write_text(config)
    flag = [] if name == "rathole" else ["-c"]
    return world.start(name, [TOOLS / "peers" / name, *flag, path])


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
    configs = {
        "envoy-outside": reverse_tunnel.outside(port, tunnel),
        "envoy-inside": reverse_tunnel.inside(tunnel, upstream),
    }
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
        two_haproxies: ("haproxy", "-v"),
        two_nginxes: ("nginx", "-v"),
        frp: (TOOLS / "peers/frps", "--version"),
        rathole: (TOOLS / "peers/rathole", "--version"),
        envoy: (TOOLS / "honest/envoy", "--version"),
    }
    if way in (chisel, piko):
        # They were not built with one.
        go_mod = Path(__file__).with_name("go") / "go.mod"
        return re.search(rf"/{way.__name__} v(\S+)", go_mod.read_text()).group(1)
    if way not in asked:
        return ""
    argv = asked[way]
    said = command(argv[0] if isinstance(argv[0], Path) else program(argv[0]), argv[1])
    found = re.search(r"\d+\.\d+\.\d+", said.stdout + said.stderr)
    if not found:
        raise Failed(f"{way.__name__} does not tell its version")
    return found.group()
