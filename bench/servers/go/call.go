package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// deadline of a call: thousands of times what it takes.
const deadline = 10 * time.Second

// call calls at a pace over one channel, and tells at the end what became of each call, a line each.
func call(args []string) error {
	flags := flag.NewFlagSet("call", flag.ContinueOnError)
	to := flags.String("to", "", "host:port of a server or a hub")
	name := flags.String("name", "", "the name to ask a hub for")
	length := flags.Duration("for", time.Minute, "how long")
	every := flags.Duration("every", time.Second, "between two calls")
	jitter := flags.Duration("jitter", 0, "by how much that varies either way")
	if err := flags.Parse(args); err != nil {
		return err
	}
	channel, err := grpc.NewClient("passthrough:///"+*to,
		grpc.WithNoProxy(),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(raw{})))
	if err != nil {
		return err
	}
	results := &results{}
	var calls sync.WaitGroup
	next := time.Now()
	for until := next.Add(*length); next.Before(until); {
		next = next.Add(*every + time.Duration((rand.Float64()*2-1)*float64(*jitter)))
		time.Sleep(time.Until(next))
		calls.Go(func() { results.add(once(channel, *name)) })
	}
	calls.Wait()
	return results.tell()
}

func once(channel *grpc.ClientConn, name string) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	if name != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "name", name)
	}
	message, answer := make([]byte, 64), []byte(nil)
	since := time.Now()
	err := channel.Invoke(ctx, "/honest.Honest/Echo", &message, &answer)
	if err == nil && len(answer) != len(message) {
		err = fmt.Errorf("an answer of %d bytes", len(answer))
	}
	return time.Since(since), err
}

// results of calls, as lines.
type results struct {
	lock  sync.Mutex
	lines []string
}

func (r *results) add(took time.Duration, err error) {
	line := fmt.Sprintf("ok %d", took.Microseconds())
	if err != nil {
		code := status.Convert(err)
		line = fmt.Sprintf("lost %s: %s", code.Code(), strings.ReplaceAll(code.Message(), "\n", " "))
	}
	r.lock.Lock()
	defer r.lock.Unlock()
	r.lines = append(r.lines, line)
}

func (r *results) tell() error {
	out := bufio.NewWriter(os.Stdout)
	for _, line := range r.lines {
		fmt.Fprintln(out, line)
	}
	fmt.Fprintln(out, "done", len(r.lines))
	return out.Flush()
}
