package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

const (
	// sipBytes is the least that Go gives a window back for, once for the stream and once for the connection:
	// eight frames for each frame of data.
	sipBytes = 4 << 10
	// sippedBytes take 32768 such frames.
	sippedBytes = 64 << 20
)

// sips reads in steps of sipBytes.
type sips struct{ io.Reader }

func (s sips) Read(into []byte) (int, error) {
	return s.Reader.Read(into[:min(len(into), sipBytes)])
}

// sipDownload reads a large answer a little at a time.
func (c *httpCaller) sipDownload(ctx context.Context) error {
	response, err := c.send(ctx, http.MethodGet, fmt.Sprintf("/bytes/%d", sippedBytes), nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(sips{response.Body})
	if err != nil {
		return fmt.Errorf("after %d bytes: %w", len(body), err)
	}
	if !bytes.Equal(body, fixed(sippedBytes)) {
		return fmt.Errorf("%d bytes came different", len(body))
	}
	return nil
}

// sipUpload sends much to a handler that reads it a little at a time.
func (c *httpCaller) sipUpload(ctx context.Context) error {
	body := fixed(sippedBytes)
	response, err := c.send(ctx, http.MethodPost, "/sip", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer response.Body.Close()
	var seen struct{ Sha256 string }
	if err := json.NewDecoder(response.Body).Decode(&seen); err != nil {
		return err
	}
	if digest := sha256.Sum256(body); seen.Sha256 != hex.EncodeToString(digest[:]) {
		return fmt.Errorf("the server read %q", seen.Sha256)
	}
	return nil
}

// showSipped shows the request as it came, read a little at a time.
func showSipped(w http.ResponseWriter, r *http.Request) error {
	r.Body = io.NopCloser(sips{r.Body})
	return showRequest(w, r)
}
