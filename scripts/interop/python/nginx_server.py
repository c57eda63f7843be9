"""nginx in front of grpc-go's official server: what a server behind nginx looks like to an agent. Prints `READY
address` when both listen."""

from __future__ import annotations

import argparse
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

START_LIMIT_S = 20
STOP_LIMIT_S = 5
# Bodies of any size, and no waiting for a whole request before it is passed on; everything else as it comes.
CONFIG = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ }}
http {{
    access_log off;
    client_max_body_size 0;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port} http2{tls};
        location / {{ grpc_pass grpc://127.0.0.1:{backend}; }}
    }}
}}
"""
TLS = " ssl;\n        ssl_certificate {cert};\n        ssl_certificate_key {key}"


def free_port():
    """A port that nobody has now: nginx cannot choose one and say which."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def start_backend(program, children):
    """The server behind nginx, and its port."""
    argv = ["env", "GRPC_GO_LOG_SEVERITY_LEVEL=info", program, "--port=0"]
    backend = subprocess.Popen(argv, stderr=subprocess.PIPE, text=True)
    children.append(backend)
    for line in backend.stderr:
        told = re.search(r"interop server listening on \S*:(\d+)$", line)
        if told:
            return backend, told.group(1)
    sys.exit("the server behind nginx does not listen")


def start_nginx(args, folder, backend, children):
    """nginx's port, once it listens."""
    tls = TLS.format(cert=args.tls_cert_file, key=args.tls_key_file) if args.tls_cert_file else ""
    port, config = free_port(), Path(folder) / "nginx.conf"
    config.write_text(CONFIG.format(folder=folder, port=port, tls=tls, backend=backend))
    nginx = subprocess.Popen(["nginx", "-p", folder, "-c", config, "-e", "stderr"])
    children.append(nginx)
    deadline = time.monotonic() + START_LIMIT_S
    while time.monotonic() < deadline and nginx.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return port
        except ConnectionRefusedError:
            time.sleep(0.02)
    sys.exit("nginx does not listen")


def main():
    """Serves until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backend", required=True, help="grpc-go's official interop server")
    parser.add_argument("--tls-cert-file")
    parser.add_argument("--tls-key-file")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    children = []
    with tempfile.TemporaryDirectory() as folder:
        try:
            backend, port = start_backend(args.backend, children)
            port = start_nginx(args, folder, port, children)
            print(f"READY 127.0.0.1:{port}", flush=True)
            # What the backend says is read, so that it never waits to be heard.
            for _ in backend.stderr:
                pass
        finally:
            for child in children:
                child.terminate()
            for child in children:
                try:
                    child.wait(STOP_LIMIT_S)
                except subprocess.TimeoutExpired:
                    child.kill()


if __name__ == "__main__":
    main()
