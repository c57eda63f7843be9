// A caller with grpc-go as it comes, which calls without a pause: go-steady ADDRESS NAME RATE SECONDS [TOKEN].
// RATE unary calls a second, whatever becomes of those before, each with so many seconds, on one channel. When standard input
// ends it stops, and prints how many calls went well, how many did not, and why.
package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
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

// tally is what became of all calls.
type tally struct {
	sync.Mutex
	OK   int            `json:"ok"`
	Lost int            `json:"lost"`
	Why  map[string]int `json:"why"`
}

func (t *tally) ended(err error) {
	t.Lock()
	defer t.Unlock()
	if err == nil {
		t.OK++
		return
	}
	t.Lost++
	t.Why[status.Code(err).String()]++
	if t.Lost <= 20 {
		fmt.Fprintln(os.Stderr, time.Now().Format(time.StampMilli), err)
	}
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "go-steady:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 4 && len(args) != 5 {
		return errors.New("usage: go-steady ADDRESS NAME RATE SECONDS [TOKEN]")
	}
	rate, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	seconds, err := strconv.Atoi(args[3])
	if err != nil {
		return err
	}
	client, err := grpc.NewClient(args[0], grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer client.Close()
	ctx := metadata.AppendToOutgoingContext(context.Background(), "name", args[1])
	if len(args) == 5 {
		ctx = metadata.AppendToOutgoingContext(ctx, "hub-token", args[4])
	}
	told := &tally{Why: map[string]int{}}
	calls(ctx, client, time.Second/time.Duration(rate), time.Duration(seconds)*time.Second, told)
	return json.NewEncoder(os.Stdout).Encode(told)
}

// calls begins one at each tick until standard input ends, and returns when all have ended.
func calls(ctx context.Context, client *grpc.ClientConn, each, limit time.Duration, told *tally) {
	stop := make(chan struct{})
	go func() {
		io.Copy(io.Discard, os.Stdin)
		close(stop)
	}()
	var running sync.WaitGroup
	defer running.Wait()
	ticks := time.NewTicker(each)
	defer ticks.Stop()
	for number := uint64(0); ; number++ {
		select {
		case <-stop:
			return
		case <-ticks.C:
		}
		running.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, limit)
			defer cancel()
			told.ended(call(ctx, client, number))
		})
	}
}

func call(ctx context.Context, client *grpc.ClientConn, number uint64) error {
	message := binary.BigEndian.AppendUint64(make([]byte, 56), number)
	var answer []byte
	err := client.Invoke(ctx, "/bench.Bench/Echo", &message, &answer, grpc.ForceCodecV2(raw{}))
	if err == nil && !bytes.Equal(message, answer) {
		return errors.New("another call's answer")
	}
	return err
}
