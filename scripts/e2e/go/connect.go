package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"e2e/echopb"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
)

// httpCaller calls over one connection.
type httpCaller struct {
	http *http.Client
	base string
	// through the hub, and not straight to the server.
	through bool
	// translated to gRPC on the way.
	translated bool
}

var httpCases = map[string]func(*httpCaller, context.Context) error{
	"connect-proto":      (*httpCaller).connectProto,
	"connect-json":       (*httpCaller).connectJSON,
	"connect-get":        (*httpCaller).connectGet,
	"connect-gzip":       (*httpCaller).connectGzip,
	"connect-large":      (*httpCaller).connectLarge,
	"connect-metadata":   (*httpCaller).connectMetadata,
	"connect-error":      (*httpCaller).connectError,
	"connect-deadline":   (*httpCaller).connectDeadline,
	"connect-stream":     (*httpCaller).connectStream,
	"connect-bidi":       (*httpCaller).connectBidi,
	"connect-as-grpc":    (*httpCaller).connectAsGRPC,
	"connect-as-grpcweb": (*httpCaller).connectAsGRPCWeb,
	"refused":            (*httpCaller).refused,
	"method-connect":     (*httpCaller).methodConnect,
	"sip-download":       (*httpCaller).sipDownload,
	"sip-upload":         (*httpCaller).sipUpload,
}

// runHTTPCases runs the cases named and prints one JSON line for each.
func runHTTPCases(args []string) error {
	var to target
	set := flag.NewFlagSet("http", flag.ExitOnError)
	to.flags(set)
	http1 := set.Bool("http1", false, "speak HTTP/1.1")
	translated := set.Bool("translated", false, "the hub makes gRPC of what it is asked")
	set.Parse(args)
	client, base, err := to.httpClient(*http1)
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	return tell(set.Args(), httpCases, &httpCaller{client, base, to.name != "", *translated})
}

// httpClient speaks HTTP/2, or HTTP/1.1, and nothing else.
func (t *target) httpClient(http1 bool) (*http.Client, string, error) {
	transport := &http.Transport{Protocols: new(http.Protocols)}
	base := "http://" + t.address
	transport.Protocols.SetHTTP1(http1)
	transport.Protocols.SetUnencryptedHTTP2(!http1 && t.caFile == "")
	transport.Protocols.SetHTTP2(!http1 && t.caFile != "")
	if t.caFile != "" {
		config, err := t.tls()
		if err != nil {
			return nil, "", err
		}
		transport.TLSClientConfig = config
		base = "https://" + t.address
	}
	return &http.Client{Transport: &nameTransport{transport, t.name}}, base, nil
}

// nameTransport adds all that a caller has to know about the hub.
type nameTransport struct {
	*http.Transport
	name string
}

func (t *nameTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	if t.name != "" {
		request = request.Clone(request.Context())
		request.Header.Set("name", t.name)
	}
	return t.Transport.RoundTrip(request)
}

func (c *httpCaller) connectProto(ctx context.Context) error {
	return c.unary(ctx, "POST|application/proto||1")
}

func (c *httpCaller) connectJSON(ctx context.Context) error {
	return c.unary(ctx, "POST|application/json||1", connect.WithProtoJSON())
}

func (c *httpCaller) connectGet(ctx context.Context) error {
	return c.unary(ctx, "GET|||", connect.WithHTTPGet(), connect.WithProtoJSON(),
		connect.WithIdempotency(connect.IdempotencyNoSideEffects))
}

func (c *httpCaller) connectGzip(ctx context.Context) error {
	return c.unary(ctx, "POST|application/proto|gzip|1", connect.WithSendGzip())
}

func (c *httpCaller) connectAsGRPC(ctx context.Context) error {
	return c.unary(ctx, "POST|application/grpc||", connect.WithGRPC())
}

func (c *httpCaller) connectAsGRPCWeb(ctx context.Context) error {
	return c.unary(ctx, "POST|application/grpc-web+proto||", connect.WithGRPCWeb())
}

// translated is what the server sees of a request that the hub has made gRPC of.
func translated(seen string) string {
	codec := "proto"
	if strings.HasPrefix(seen, "GET") || strings.Contains(seen, "json") {
		codec = "json"
	}
	if seen == "POST|application/grpc||" {
		return seen
	}
	return "POST|application/grpc+" + codec + "||"
}

// unary calls with messages of some sizes, which come back as they were; `seen` is what the server saw.
func (c *httpCaller) unary(ctx context.Context, seen string, options ...connect.ClientOption) error {
	if c.translated {
		seen = translated(seen)
	}
	for _, size := range []int{0, 1, 1000} {
		message := &echopb.Message{Text: strings.Repeat("ü", size), Payload: random(size)}
		response, err := c.echo(options...).CallUnary(ctx, connect.NewRequest(message))
		if err != nil {
			return err
		}
		if !proto.Equal(message, response.Msg) {
			return fmt.Errorf("a message of %d bytes came back different", size)
		}
		if got := response.Header().Get("X-Seen"); got != seen {
			return fmt.Errorf("the server saw %q, not %q", got, seen)
		}
	}
	return nil
}

func (c *httpCaller) echo(options ...connect.ClientOption) *connect.Client[echopb.Message, echopb.Message] {
	return connect.NewClient[echopb.Message, echopb.Message](c.http, c.base+unaryPath, options...)
}

func (c *httpCaller) connectLarge(ctx context.Context) error {
	message := &echopb.Message{Payload: random(32 << 20)}
	response, err := c.echo().CallUnary(ctx, connect.NewRequest(message))
	if err != nil {
		return err
	}
	if !bytes.Equal(message.Payload, response.Msg.Payload) {
		return errors.New("32 MiB came back different")
	}
	return nil
}

// connectMetadata: trailers of the Connect protocol are headers that begin with `trailer-`.
func (c *httpCaller) connectMetadata(ctx context.Context) error {
	request := connect.NewRequest(&echopb.Message{})
	request.Header()["X-Echo-Text"] = []string{"one", "two"}
	request.Header().Set("X-Echo-Bytes-Bin", connect.EncodeBinaryHeader([]byte{0, 255}))
	response, err := c.echo().CallUnary(ctx, request)
	if err != nil {
		return err
	}
	for _, back := range []http.Header{response.Header(), response.Trailer()} {
		text := strings.Join(back.Values("X-Echo-Text"), ",")
		binary, err := connect.DecodeBinaryHeader(back.Get("X-Echo-Bytes-Bin"))
		if err != nil || text != "one,two" || !bytes.Equal(binary, []byte{0, 255}) {
			return fmt.Errorf("the metadata came back as %v", back)
		}
	}
	return nil
}

// connectError: an error is an HTTP status and a JSON document, with each code and its details.
func (c *httpCaller) connectError(ctx context.Context) error {
	fail := connect.NewClient[echopb.FailRequest, echopb.Message](c.http, c.base+failPath)
	for code := connect.CodeCanceled; code <= connect.CodeUnauthenticated; code++ {
		request := connect.NewRequest(&echopb.FailRequest{Code: int32(code), Message: "not yet: ü"})
		_, err := fail.CallUnary(ctx, request)
		var failure *connect.Error
		if !errors.As(err, &failure) || failure.Code() != code || failure.Message() != "not yet: ü" ||
			len(failure.Details()) != 1 || failure.Meta().Get("x-with-error") != "yes" {
			return fmt.Errorf("%v came back as %v", code, err)
		}
	}
	return nil
}

func (c *httpCaller) connectDeadline(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	wait := connect.NewClient[echopb.Message, echopb.Message](c.http, c.base+waitPath)
	_, err := wait.CallUnary(ctx, connect.NewRequest(&echopb.Message{}))
	if connect.CodeOf(err) != connect.CodeDeadlineExceeded {
		return fmt.Errorf("it ends with %v", err)
	}
	return nil
}

// connectStream: the end of a stream of the Connect protocol is a message of its own.
func (c *httpCaller) connectStream(ctx context.Context) error {
	client := connect.NewClient[echopb.ServerStreamRequest, echopb.Message](c.http, c.base+streamPath)
	stream, err := client.CallServerStream(ctx,
		connect.NewRequest(&echopb.ServerStreamRequest{Messages: 20, Size: 100_000}))
	if err != nil {
		return err
	}
	defer stream.Close()
	count := 0
	for ; stream.Receive(); count++ {
		if !bytes.Equal(stream.Msg().Payload, fixed(100_000)) {
			return fmt.Errorf("message %d came different", count)
		}
	}
	if err := stream.Err(); err != nil {
		return err
	}
	if count != 20 || stream.ResponseTrailer().Get("x-last") != "yes" {
		return fmt.Errorf("%d messages, trailers %v", count, stream.ResponseTrailer())
	}
	return nil
}

// connectBidi sends each message only after the answer to the one before.
func (c *httpCaller) connectBidi(ctx context.Context) error {
	client := connect.NewClient[echopb.Message, echopb.Message](c.http, c.base+bidiPath)
	stream := client.CallBidiStream(ctx)
	for round := range 20 {
		text := fmt.Sprintf("round %d", round)
		if err := stream.Send(&echopb.Message{Text: text}); err != nil {
			return err
		}
		reply, err := stream.Receive()
		if err != nil {
			return err
		}
		if reply.Text != text {
			return fmt.Errorf("sent %q, got %q", text, reply.Text)
		}
	}
	if err := stream.CloseRequest(); err != nil {
		return err
	}
	if _, err := stream.Receive(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("expected the end of the stream, got %w", err)
	}
	return stream.CloseResponse()
}

// send makes a request of plain HTTP.
func (c *httpCaller) send(ctx context.Context, method, path string, body io.Reader) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return nil, err
	}
	return c.http.Do(request)
}

// methodConnect asks for a tunnel, which a server may give and the hub refuses.
func (c *httpCaller) methodConnect(ctx context.Context) error {
	response, err := c.send(ctx, http.MethodConnect, "", nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	reason := response.Header.Get("hub-reason")
	refused := response.StatusCode == http.StatusMethodNotAllowed && reason == "no-connect"
	if given := response.StatusCode == http.StatusOK; refused != c.through || given == c.through {
		return fmt.Errorf("CONNECT is answered %s, hub-reason %q", response.Status, reason)
	}
	return nil
}
