package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io"
	"slices"
	"time"

	"e2e/echopb"

	"google.golang.org/protobuf/proto"
)

const (
	// largeSize is what each large case moves in each direction it tests, in chunks of chunkSize.
	largeSize = 64 << 20
	chunkSize = 64 << 10
)

func (c caller) largeUnary(ctx context.Context) error {
	request := &echopb.Message{Payload: random(largeSize)}
	reply, err := c.Unary(ctx, request)
	if err != nil {
		return err
	}
	if sha256.Sum256(reply.Payload) != sha256.Sum256(request.Payload) {
		return fmt.Errorf("%d bytes came back different", len(reply.Payload))
	}
	return nil
}

func (c caller) largeUpload(ctx context.Context) error {
	return c.upload(ctx, largeSize/chunkSize, chunkSize, 0)
}

func (c caller) largeDownload(ctx context.Context) error {
	return c.download(ctx, largeSize/chunkSize, chunkSize, 0)
}

// largeBidi sends and receives at the same time, neither waiting for the other.
func (c caller) largeBidi(ctx context.Context) error {
	stream, err := c.Bidi(ctx)
	if err != nil {
		return err
	}
	sent, received := sha256.New(), sha256.New()
	failed := make(chan error, 1)
	go func() {
		for range largeSize / chunkSize {
			payload := random(chunkSize)
			sent.Write(payload)
			if err := stream.Send(&echopb.Message{Payload: payload}); err != nil {
				failed <- err
				return
			}
		}
		failed <- stream.CloseSend()
	}()
	for {
		message, err := stream.Recv()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		received.Write(message.Payload)
	}
	if err := <-failed; err != nil {
		return err
	}
	if !bytes.Equal(sent.Sum(nil), received.Sum(nil)) {
		return fmt.Errorf("the stream came back different")
	}
	return nil
}

// upload streams random payloads and compares the server's digest with its own. The server waits a
// millisecond after each message when pause is set, and pause after the first.
func (c caller) upload(ctx context.Context, count, size int, pause time.Duration) error {
	stream, err := c.ClientStream(ctx)
	if err != nil {
		return err
	}
	digest := sha256.New()
	for i := range count {
		message := &echopb.Message{Payload: random(size)}
		if pause > 0 {
			message.PauseMs = 1
		}
		if i == 0 {
			message.PauseMs = uint32(pause.Milliseconds())
		}
		digest.Write(message.Payload)
		if err := stream.Send(message); err != nil {
			_, err := stream.CloseAndRecv()
			return fmt.Errorf("the server ended the stream early: %v", err)
		}
	}
	summary, err := stream.CloseAndRecv()
	if err != nil {
		return err
	}
	want := &echopb.Summary{Messages: uint64(count), Bytes: uint64(count * size), Sha256: digest.Sum(nil)}
	if !proto.Equal(summary, want) {
		return fmt.Errorf("sent %v, the server got %v", want, summary)
	}
	return nil
}

// download reads random payloads and compares the server's digest with its own. It waits a
// millisecond after each message when pause is set, and pause after the first.
func (c caller) download(ctx context.Context, count, size int, pause time.Duration) error {
	stream, err := c.ServerStream(ctx, &echopb.ServerStreamRequest{Messages: uint32(count), Size: uint32(size)})
	if err != nil {
		return err
	}
	digest := sha256.New()
	for i := 0; ; i++ {
		message, err := stream.Recv()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		digest.Write(message.Payload)
		switch {
		case i == 0:
			time.Sleep(pause)
		case pause > 0:
			time.Sleep(time.Millisecond)
		}
	}
	if got := stream.Trailer()["x-sha256-bin"]; !slices.Equal(got, []string{string(digest.Sum(nil))}) {
		return fmt.Errorf("the digest of what came is not the trailer's %x", got)
	}
	return nil
}

func pingPong(stream echopb.Echo_BidiClient, text string) error {
	if err := stream.Send(&echopb.Message{Text: text}); err != nil && err != io.EOF {
		return err
	}
	reply, err := stream.Recv()
	if err != nil {
		return err
	}
	if reply.Text != text {
		return fmt.Errorf("sent %q, got %q", text, reply.Text)
	}
	return nil
}

// endBidi half-closes and waits for the server's end.
func endBidi(stream echopb.Echo_BidiClient) error {
	if err := stream.CloseSend(); err != nil {
		return err
	}
	if _, err := stream.Recv(); err != io.EOF {
		return fmt.Errorf("expected the end of the stream, got %w", err)
	}
	return nil
}

func random(size int) []byte {
	payload := make([]byte, size)
	rand.Read(payload)
	return payload
}
