package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"time"
)

// apiClient asks the daemon over its socket.
type apiClient struct{ socket string }

// envelope is what every answer of the API is in.
type envelope struct {
	Success bool           `json:"success"`
	Data    map[string]any `json:"data,omitempty"`
	Error   *apiError      `json:"error,omitempty"`
}

type apiError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

func (c *apiClient) ask(method, path string, body any) (map[string]any, error) {
	content, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	if body == nil {
		content = nil
	}
	request, err := http.NewRequest(method, "http://edgelet"+path, bytes.NewReader(content))
	if err != nil {
		return nil, err
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "unix", c.socket)
	}
	// The real one's limit for one request; a load is many.
	client := &http.Client{Timeout: time.Minute, Transport: &http.Transport{DialContext: dial}}
	response, err := client.Do(request)
	if err != nil {
		return nil, notReached(method, err)
	}
	defer response.Body.Close()
	decoder := json.NewDecoder(response.Body)
	decoder.UseNumber() // sizes are printed as they came
	var answer envelope
	if err := decoder.Decode(&answer); err != nil {
		return nil, fmt.Errorf("status %d, not readable: %w", response.StatusCode, err)
	}
	if answer.Error != nil {
		return nil, &failure{answer.Error.Code, answer.Error.Message}
	}
	return answer.Data, nil
}

// notReached says why: no daemon, or not allowed. Where the socket is refused, the real one asks again over
// HTTPS if that changes nothing, but without the token that only root can read, so there the answer is 401.
func notReached(method string, err error) error {
	if !errors.Is(err, fs.ErrPermission) {
		return &failure{daemonUnavailable, "the edgelet daemon is not running; start it: systemctl start edgelet"}
	}
	if method == http.MethodGet {
		return &failure{unauthorized, "missing or invalid authentication token"}
	}
	return fmt.Errorf("failed to send Edgelet API request: %w", err)
}
