package main

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// pages are what the plain HTTP/2 server answers, by the first segment of the path. All other paths
// show the request as it came.
var pages = map[string]func(http.ResponseWriter, *http.Request) error{
	"status":   showStatus,
	"bytes":    showBytes,
	"echo":     showEcho,
	"headers":  showHeaders,
	"hints":    showHints,
	"trailers": showTrailers,
	"gzip":     showGzip,
	"file":     showFile,
	"push":     tryPush,
	"early":    answerEarly,
	"abort":    abort,
	"sip":      showSipped,
}

// servePlain serves HTTP/2 that is not gRPC, h2c or TLS, and prints `READY address`, until SIGTERM.
func servePlain(args []string) error {
	var listen, certFile, keyFile string
	set := flag.NewFlagSet("plain", flag.ExitOnError)
	set.StringVar(&listen, "listen", "127.0.0.1:0", "`address`")
	set.StringVar(&certFile, "tls-cert-file", "", "serve TLS with this `file`")
	set.StringVar(&keyFile, "tls-key-file", "", "its key `file`")
	set.Parse(args)

	listener, address, err := bind(listen)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: site(), Protocols: new(http.Protocols),
		// `OPTIONS *` comes to the handler, too.
		DisableGeneralOptionsHandler: true}
	server.Protocols.SetHTTP2(certFile != "")
	server.Protocols.SetUnencryptedHTTP2(certFile == "")
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		<-stop
		server.Close()
	}()
	fmt.Println("READY", address)
	if certFile != "" {
		err = server.ServeTLS(listener, certFile, keyFile)
	} else {
		err = server.Serve(listener)
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// site has no http.ServeMux, which would redirect the paths that it finds untidy.
func site() http.Handler {
	rpc := connectHandler()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/e2e.v1.Echo/") {
			rpc.ServeHTTP(w, r)
			return
		}
		page := pages[segment(r, 1)]
		if page == nil {
			page = showRequest
		}
		if err := page(w, r); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
		}
	})
}

// segment is the one of the path with this index, from 1, or nothing.
func segment(r *http.Request, index int) string {
	if all := strings.Split(r.URL.Path, "/"); index < len(all) {
		return all[index]
	}
	return ""
}

// showRequest tells all that a server can see of a request, once it has been read to its end.
func showRequest(w http.ResponseWriter, r *http.Request) error {
	digest := sha256.New()
	size, err := io.Copy(digest, r.Body)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(map[string]any{
		"method": r.Method, "target": r.RequestURI, "authority": r.Host, "proto": r.Proto,
		"headers": r.Header, "trailers": r.Trailer, "content_length": r.ContentLength,
		"bytes": size, "sha256": hex.EncodeToString(digest.Sum(nil)),
	})
}

// showStatus answers /status/CODE with the code, and with a body where one may be.
func showStatus(w http.ResponseWriter, r *http.Request) error {
	code, err := strconv.Atoi(segment(r, 2))
	if err != nil {
		return err
	}
	w.Header().Set("X-Status", strconv.Itoa(code))
	w.WriteHeader(code)
	if code != http.StatusNoContent && code != http.StatusNotModified {
		fmt.Fprintf(w, "this is %d\n", code)
	}
	return nil
}

// showBytes answers /bytes/N with as many; to HEAD it tells only how many.
func showBytes(w http.ResponseWriter, r *http.Request) error {
	size, err := strconv.Atoi(segment(r, 2))
	if err != nil {
		return err
	}
	w.Header().Set("Content-Length", strconv.Itoa(size))
	w.Header().Set("Content-Type", "application/octet-stream")
	if r.Method != http.MethodHead {
		w.Write(fixed(size))
	}
	return nil
}

// fixed is bytes that look random and are always the same, so that two answers can be compared.
func fixed(size int) []byte {
	payload := make([]byte, size)
	rand.NewChaCha8([32]byte{}).Read(payload)
	return payload
}

// showEcho sends the body back while it comes; the trailer x-sha256 is its digest.
func showEcho(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Trailer", "X-Sha256")
	w.Header().Set("Content-Type", "application/octet-stream")
	digest := sha256.New()
	if _, err := io.Copy(w, io.TeeReader(r.Body, digest)); err != nil {
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("X-Sha256", hex.EncodeToString(digest.Sum(nil)))
	return nil
}

// showHeaders answers /headers/COUNT/SIZE, and with some that are easily spoilt.
func showHeaders(w http.ResponseWriter, r *http.Request) error {
	count, err := strconv.Atoi(segment(r, 2))
	if err != nil {
		return err
	}
	size, err := strconv.Atoi(segment(r, 3))
	if err != nil {
		return err
	}
	for number := range count {
		w.Header().Set(fmt.Sprintf("x-many-%d", number), strings.Repeat("v", size))
	}
	w.Header()["Set-Cookie"] = []string{"a=1; Path=/", "b=2; HttpOnly", "a=3"}
	w.Header()["X-Repeated"] = []string{"one", "", "two, three", "one"}
	w.Header()["X-Empty"] = []string{""}
	w.Header()["X-Latin-1"] = []string{"gr\xfcezi"}
	w.Header()["Server"] = []string{"plain"}
	w.Header()["Via"] = []string{"2 nobody"}
	w.Header()["Hub-Made-Up"] = []string{"the server's own"}
	return nil
}

// showHints sends two 103 before the answer.
func showHints(w http.ResponseWriter, _ *http.Request) error {
	for _, link := range []string{"</a.css>; rel=preload", "</b.css>; rel=preload"} {
		w.Header().Set("Link", link)
		w.WriteHeader(http.StatusEarlyHints)
	}
	w.Header().Del("Link")
	w.Header().Set("X-Final", "yes")
	_, err := io.WriteString(w, "after the hints\n")
	return err
}

// showTrailers ends with trailers that are none of gRPC's, announced and not. The answer to
// /trailers/open has no content-length.
func showTrailers(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Trailer", "X-Announced")
	io.WriteString(w, "before the trailers\n")
	if segment(r, 2) == "open" {
		if err := http.NewResponseController(w).Flush(); err != nil {
			return err
		}
	}
	w.Header().Set("X-Announced", "yes")
	w.Header()[http.TrailerPrefix+"X-Unannounced"] = []string{"one", "two"}
	return nil
}

// showGzip answers compressed, whatever the client accepts.
func showGzip(w http.ResponseWriter, _ *http.Request) error {
	var body bytes.Buffer
	zip := gzip.NewWriter(&body)
	io.WriteString(zip, strings.Repeat("squeezed ", 1000))
	if err := zip.Close(); err != nil {
		return err
	}
	w.Header().Set("Content-Encoding", "gzip")
	w.Header().Set("Content-Type", "text/plain")
	_, err := body.WriteTo(w)
	return err
}

// showFile knows ranges and conditions.
func showFile(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("ETag", `"one"`)
	content := strings.NewReader(strings.Repeat("0123456789", 100))
	http.ServeContent(w, r, "file.txt", time.Unix(1_000_000_000, 0), content)
	return nil
}

// tryPush pushes a response, and says whether the client's side of the connection lets it.
func tryPush(w http.ResponseWriter, _ *http.Request) error {
	said := "no pusher"
	if pusher, ok := w.(http.Pusher); ok {
		said = "pushed"
		if err := pusher.Push("/status/200", nil); err != nil {
			said = err.Error()
		}
	}
	_, err := fmt.Fprintln(w, said)
	return err
}

// answerEarly refuses an upload without reading it.
func answerEarly(w http.ResponseWriter, _ *http.Request) error {
	w.WriteHeader(http.StatusRequestEntityTooLarge)
	_, err := io.WriteString(w, "too large\n")
	return err
}

// abort breaks off in the middle of a body.
func abort(w http.ResponseWriter, _ *http.Request) error {
	io.WriteString(w, "the first half\n")
	if err := http.NewResponseController(w).Flush(); err != nil {
		return err
	}
	panic(http.ErrAbortHandler)
}
