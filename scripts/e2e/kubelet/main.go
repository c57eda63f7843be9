// kubelet-probe does what the kubelet does for a `grpc` probe, by the kubelet's own package.
package main

import (
	"flag"
	"fmt"
	"os"
	"time"

	"k8s.io/kubernetes/pkg/probe"
	"k8s.io/kubernetes/pkg/probe/grpc"
)

func main() {
	host := flag.String("host", "127.0.0.1", "the Pod's address")
	port := flag.Int("port", 0, "grpc.port")
	service := flag.String("service", "", "grpc.service")
	tls := flag.Bool("tls", false, "grpc.mode is TLS")
	timeout := flag.Duration("timeout", 10*time.Second, "timeoutSeconds")
	flag.Parse()
	result, said, err := grpc.New().Probe(*host, *service, *port, *timeout, grpc.ProbeOptions{UseTLS: *tls})
	if err != nil {
		fmt.Fprintln(os.Stderr, "kubelet-probe:", err)
		os.Exit(2)
	}
	fmt.Println(said)
	if result != probe.Success {
		os.Exit(1)
	}
}
