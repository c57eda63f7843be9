// Program honest is grpc-go on either side: `honest server` is the server behind an agent, `honest call`
// the one who calls it, directly or through a hub.
package main

import (
	"fmt"
	"os"
)

func main() {
	if len(os.Args) < 2 {
		fail(fmt.Errorf("usage: honest server|call [flags]"))
	}
	switch role, args := os.Args[1], os.Args[2:]; role {
	case "server":
		fail(serve(args))
	case "call":
		fail(call(args))
	default:
		fail(fmt.Errorf("no role %q", role))
	}
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "failed:", err)
		os.Exit(1)
	}
}

// raw passes messages as they are.
type raw struct{}

func (raw) Marshal(v any) ([]byte, error) { return *v.(*[]byte), nil }

func (raw) Unmarshal(data []byte, v any) error {
	*v.(*[]byte) = append([]byte(nil), data...)
	return nil
}

func (raw) Name() string { return "raw" }
