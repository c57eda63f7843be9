#!/usr/bin/env bash
# Trailing metadata of some names never leaves a gRPC server that runs on Go's net/http.
#
# Surprising: the HTTP/2 server of net/http leaves out trailers whose name begins with "if-" and a
# list of others ("realm", "range", "max-forwards", "cache-control" ...). grpc-go sends trailing metadata
# `if-name` on its own transport, but not by (*grpc.Server).ServeHTTP; connect-go does not either; and
# httputil.ReverseProxy takes it out on its way from a grpc-go server to a grpc-go client. The call is
# OK, neighbouring keys arrive, the same key in the header metadata arrives. The client of net/http
# has no such list: it is one-sided. The only trace is a line in the server's error log.
# Why it matters: a proxy written on Go's ReverseProxy is not transparent for gRPC metadata, and moving
# a service to another port mode of the same library loses keys, e.g. the name of an interface.
#
# Version: Go 1.26.8's net/http (any Go with http.Protocols), google.golang.org/grpc v1.85.0,
# connectrpc.com/connect v1.21.1.
# Source: gRPC over HTTP2: Trailers -> Status [Status-Message] *Custom-Metadata, a Header-Name of it is
# any of 0-9 a-z _ - . ; names beginning with "grpc-" are the only ones set aside. RFC 9110 6.5.1 keeps
# HTTP's own request conditions and response controls out of trailers; `if-name` is none of them.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

cd "$dir"
cat > go.mod <<'MOD'
module trial

go 1.26
MOD
cat > main.go <<'GO'
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"slices"
	"strings"

	"connectrpc.com/connect"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/emptypb"
)

var names = []string{"if-name", "realm", "range", "max-forwards", "cache-control", "x-name"}

func listen() net.Listener {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	return listener
}

// A grpc-go server whose one handler sets each name, once as header and once as trailing metadata.
func server() *grpc.Server {
	return grpc.NewServer(grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		for _, name := range names {
			if err := stream.SetHeader(metadata.Pairs(name, "1")); err != nil {
				return err
			}
			stream.SetTrailer(metadata.Pairs(name, "1"))
		}
		return stream.SendMsg(&emptypb.Empty{})
	}))
}

// Serves HTTP/2 without TLS, with net/http.
func serve(handler http.Handler) string {
	listener := listen()
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	quiet := log.New(io.Discard, "", 0)
	go (&http.Server{Handler: handler, Protocols: protocols, ErrorLog: quiet}).Serve(listener)
	return listener.Addr().String()
}

// What a grpc-go client gets of the names, as header and as trailing metadata.
func call(address string) (string, string) {
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	var header, trailer metadata.MD
	err = conn.Invoke(context.Background(), "/trial.Trial/Say", &emptypb.Empty{}, &emptypb.Empty{},
		grpc.Header(&header), grpc.Trailer(&trailer))
	if err != nil {
		log.Fatal(err)
	}
	kept := func(md metadata.MD) string {
		present := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return len(md.Get(name)) == 0 })
		return strings.Join(present, " ")
	}
	return kept(header), kept(trailer)
}

func main() {
	own := listen()
	go server().Serve(own)
	target, _ := url.Parse("http://" + own.Addr().String())
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.Transport = &http.Transport{Protocols: protocols}
	answer := func(context.Context, *connect.Request[emptypb.Empty]) (*connect.Response[emptypb.Empty], error) {
		response := connect.NewResponse(&emptypb.Empty{})
		for _, name := range names {
			response.Header().Set(name, "1")
			response.Trailer().Set(name, "1")
		}
		return response, nil
	}

	all, few := strings.Join(names, " "), "x-name"
	same := true
	for _, trial := range []struct{ what, address, expected string }{
		{"grpc-go server, its own transport", own.Addr().String(), all},
		{"the same behind httputil.ReverseProxy", serve(proxy), few},
		{"grpc-go server by ServeHTTP", serve(server()), few},
		{"connect-go handler", serve(connect.NewUnaryHandler("/trial.Trial/Say", answer)), few},
	} {
		header, trailer := call(trial.address)
		fmt.Printf("  %s: OK\n    header metadata:   %s\n    trailing metadata: %s\n", trial.what, header, trailer)
		same = same && header == all && trailer == trial.expected
	}
	if !same {
		os.Exit(1)
	}
}
GO
export GOFLAGS=-mod=mod CGO_ENABLED=0
go get google.golang.org/grpc@v1.85.0 connectrpc.com/connect@v1.21.1 >get.log 2>&1 || { cat get.log; exit 2; }
go build -o trial .

echo "$(go env GOVERSION) net/http, grpc-go 1.85.0, connect-go 1.21.1: which keys of the metadata reach a grpc-go client."
echo "Expected: the same six each time; each is a legal key of gRPC metadata."
echo "Seen:"
if NO_PROXY=127.0.0.1 ./trial; then
    echo "As described: net/http leaves five of six keys out of the trailers, and says OK."
else
    echo "CHANGED: this is no longer what net/http does."
    exit 1
fi
