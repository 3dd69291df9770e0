package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// maxAnswer is how large one answer of the API server may be.
const maxAnswer = 512 << 20

// statusError is an answer other than 200.
type statusError struct {
	code  int
	after time.Duration // from Retry-After
}

func (e *statusError) Error() string {
	return fmt.Sprintf("the API server answers %d %s", e.code, http.StatusText(e.code))
}

// codeOf returns the HTTP status that an error stands for, 0 for none.
func codeOf(err error) int {
	var s *statusError
	if errors.As(err, &s) {
		return s.code
	}
	return 0
}

// open sends one GET and returns the answer when it is 200. Nothing here ever
// sends anything but GET.
func (c *client) open(ctx context.Context, path string, query url.Values, accept, etag string) (*http.Response, error) {
	u := *c.base
	u.Path = singleSlash(c.base.Path, path)
	u.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("ask the API server: %w", err)
	}
	req.Header.Set("Accept", accept)
	if etag != "" {
		req.Header.Set("If-None-Match", etag)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		var ue *url.Error // it repeats the whole address
		if errors.As(err, &ue) {
			err = ue.Err
		}
		return nil, fmt.Errorf("ask the API server: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		_, _ = io.CopyN(io.Discard, resp.Body, 64<<10)
		resp.Body.Close()
		after, _ := strconv.Atoi(resp.Header.Get("Retry-After"))
		return nil, &statusError{resp.StatusCode, time.Duration(max(0, after)) * time.Second}
	}
	return resp, nil
}

func singleSlash(base, path string) string {
	if n := len(base); n > 0 && base[n-1] == '/' {
		base = base[:n-1]
	}
	return base + path
}

// answer is what came back whole.
type answer struct {
	body   []byte
	header http.Header
}

// get asks until there is an answer or no hope of one.
func (c *client) get(ctx context.Context, path string, query url.Values, accept, etag string) (answer, error) {
	for try := 0; ; try++ {
		a, err := c.once(ctx, path, query, accept, etag)
		if err == nil || ctx.Err() != nil || try >= tries(err) {
			return a, err
		}
		if err := pause(ctx, delay(try, err)); err != nil {
			return answer{}, err
		}
	}
}

func (c *client) once(ctx context.Context, path string, query url.Values, accept, etag string) (answer, error) {
	resp, err := c.open(ctx, path, query, accept, etag)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return answer{}, fmt.Errorf("read the API server's answer: %w", err)
	}
	if len(body) > maxAnswer {
		return answer{}, &statusError{code: http.StatusRequestEntityTooLarge}
	}
	return answer{body, resp.Header}, nil
}

// tries says how often to ask again after an error. An API server that restarts
// is back within seconds; one that says no means it.
func tries(err error) int {
	switch code := codeOf(err); {
	case code == http.StatusTooManyRequests:
		return 10
	case code >= 500:
		return 3
	case code != 0:
		return 0
	}
	return 6
}

// The bounds of a pause between two attempts.
const (
	firstPause = 250 * time.Millisecond
	longPause  = 30 * time.Second
)

// delay says how long to wait before attempt try+1: what the API server asks
// for, else twice as long each time, with some chance in it so that many
// watchers do not come back at once.
func delay(try int, err error) time.Duration {
	var s *statusError
	if errors.As(err, &s) && s.after > 0 {
		return min(s.after, longPause)
	}
	d := min(firstPause<<min(try, 10), longPause)
	return d/2 + rand.N(d/2+1)
}

// pause waits, or returns why it must not.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
