package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"os"
	"time"

	"e2e/echopb"
)

// holdLimit bounds the calls that hold and slow keep open.
const holdLimit = time.Minute

// hold opens a stream, prints `OPEN`, waits for a line on standard input, and goes on to a clean end.
func hold(args []string) error {
	return withCaller("hold", args, nil, func(c caller, ctx context.Context) error {
		stream, err := c.Bidi(ctx)
		if err != nil {
			return err
		}
		if err := pingPong(stream, "before"); err != nil {
			return err
		}
		fmt.Println("OPEN")
		if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
			return err
		}
		if err := pingPong(stream, "after"); err != nil {
			return err
		}
		return endBidi(stream)
	})
}

// slow moves 64 MiB to a reader that stops for a while after the first message.
func slow(args []string) error {
	var direction string
	var pause time.Duration
	flags := func(set *flag.FlagSet) {
		set.StringVar(&direction, "direction", "download", "download or upload")
		set.DurationVar(&pause, "pause", 2*time.Second, "for how long the reader stops")
	}
	return withCaller("slow", args, flags, func(c caller, ctx context.Context) error {
		if direction == "upload" {
			return c.upload(ctx, largeSize/chunkSize, chunkSize, pause)
		}
		return c.download(ctx, largeSize/chunkSize, chunkSize, pause)
	})
}

func withCaller(command string, args []string, more func(*flag.FlagSet),
	run func(caller, context.Context) error) error {
	var to target
	set := flag.NewFlagSet(command, flag.ExitOnError)
	to.flags(set)
	if more != nil {
		more(set)
	}
	set.Parse(args)
	conn, err := to.dial()
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), holdLimit)
	defer cancel()
	return run(caller{echopb.NewEchoClient(conn), conn}, ctx)
}
