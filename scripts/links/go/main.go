// A caller that moves 64 MiB in one call, with grpc-go's default windows: go-links ADDRESS NAME METHOD TIMES.
// Each line that it prints is how many seconds a call took.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
)

const (
	messages = 4096
	size     = 16<<10 - 5
)

// raw passes messages as they are.
type raw struct{}

func (raw) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(*v.(*[]byte))}, nil
}

func (raw) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize()
	return nil
}

func (raw) Name() string { return "raw" }

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "go-links:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 4 {
		return errors.New("usage: go-links ADDRESS NAME METHOD TIMES")
	}
	times, err := strconv.Atoi(args[3])
	if err != nil {
		return err
	}
	client, err := grpc.NewClient(args[0], grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer client.Close()
	ctx := metadata.AppendToOutgoingContext(context.Background(), "name", args[1])
	for range times {
		start := time.Now()
		if err := call(ctx, client, args[2]); err != nil {
			return err
		}
		fmt.Printf("%.3f\n", time.Since(start).Seconds())
	}
	return nil
}

// call makes one, and fails unless all of it came.
func call(ctx context.Context, client *grpc.ClientConn, method string) error {
	both := &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}
	stream, err := client.NewStream(ctx, both, "/bench.Bench/"+method, grpc.ForceCodecV2(raw{}))
	if err != nil {
		return err
	}
	if method == "Upload" {
		message := make([]byte, size)
		for range messages {
			if err := stream.SendMsg(&message); err != nil {
				return err
			}
		}
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	came := 0
	for {
		var message []byte
		if err := stream.RecvMsg(&message); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
		came += len(message)
	}
	if method == "Download" && came != messages*size {
		return fmt.Errorf("%d bytes came", came)
	}
	return nil
}
