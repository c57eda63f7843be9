#!/usr/bin/env bash
# buf curl tells a failure of server reflection as a service that is not in the schema.
#
# Surprising: buf curl looks a method up by server reflection. Where that call fails, say with UNAVAILABLE or UNAUTHENTICATED,
# code and message are thrown away: `failed to find service named "trial.Trial" in schema`, word for word what it says where
# the server has answered and has no such service. --debug adds nothing to it; the status is to be found only among the
# header fields that -v prints. grpcurl says code and message.
# Why it matters: who reads this looks for a mistake in the name or in the .proto. A server that is just starting, a proxy
# that cannot reach it and a forgotten token (buf curl sends no -H along with reflection unless told) all look like that.
#
# Version: buf 1.75.0 (npm: @bufbuild/buf); beside it grpcurl v1.9.4; server: grpcio and grpcio-reflection 1.85.1.
# Source: grpc/reflection/v1/reflection.proto: a name that is unknown is an error_response, which is not the failure of the
# call; https://grpc.io/docs/guides/status-codes (UNAVAILABLE: try again).
set -euo pipefail

dir=$(mktemp -d)
server=
stop() {
    if [ -n "$server" ]; then kill "$server" 2>/dev/null || true; fi
    wait
    rm -rf "$dir"
}
trap stop EXIT
cd "$dir"

python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check grpcio==1.85.1 grpcio-reflection==1.85.1
echo '{"private": true}' > package.json
npm install --silent --no-audit --no-fund --save-exact @bufbuild/buf@1.75.0
GOBIN=$dir go install github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.4 2> go.log || { cat go.log; exit 2; }

# A server whose reflection knows nothing, and two whose reflection fails. None of them has the service.
cat > server.py <<'PY'
import threading
from concurrent import futures

import grpc
from grpc_reflection.v1alpha import reflection


class Failing(grpc.GenericRpcHandler):
    def __init__(self, code):
        self.code = code

    def service(self, details):
        return grpc.stream_stream_rpc_method_handler(lambda _, context: context.abort(self.code, "come back later"))


servers = [grpc.server(futures.ThreadPoolExecutor(2)) for _ in range(3)]
reflection.enable_server_reflection([], servers[0])
servers[1].add_generic_rpc_handlers([Failing(grpc.StatusCode.UNAVAILABLE)])
servers[2].add_generic_rpc_handlers([Failing(grpc.StatusCode.UNAUTHENTICATED)])
print(*[server.add_insecure_port("127.0.0.1:0") for server in servers], flush=True)
for server in servers:
    server.start()
threading.Event().wait()
PY
venv/bin/python server.py > ports 2> server.log &
server=$!
for _ in $(seq 200); do [ -s ports ] && break; sleep 0.05; done
read -r without unavailable unauthenticated < ports

by_buf() {
    npx --no-install buf curl --protocol grpc --http2-prior-knowledge -d '{}' "http://127.0.0.1:$1/trial.Trial/Say" 2>&1 || true
}
by_grpcurl() {
    ./grpcurl -plaintext -d '{}' "127.0.0.1:$1" trial.Trial/Say 2>&1 || true
}
tell() {
    echo "  $1:"
    echo "    buf curl: $(by_buf "$2")"
    echo "    grpcurl:  $(by_grpcurl "$2")"
}
seen=$(
    tell "reflection answers, and has no such service" "$without"
    tell "reflection fails, UNAVAILABLE" "$unavailable"
    tell "reflection fails, UNAUTHENTICATED" "$unauthenticated"
)

echo "A call of trial.Trial/Say without a schema, by buf 1.75.0 and grpcurl 1.9.4."
echo "Expected: from the second and third, that reflection has failed, and how."
echo "Seen:"
echo "$seen"
missing='Failure: failed to find service named "trial.Trial" in schema'
if [ "$(grep -cF "buf curl: $missing" <<< "$seen")" = 3 ] && [ "$(grep -c 'grpcurl: .*come back later' <<< "$seen")" = 2 ]; then
    echo "As described: buf curl tells a failure of reflection as a service that is missing."
else
    echo "CHANGED: this is no longer what they do."
    exit 1
fi
