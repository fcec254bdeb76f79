// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package services

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-cb702d51/tfork-go/prefork"
)

// httpService is the service http in one process.
type httpService struct {
	hung atomic.Bool // no sign of life any more

	mu   sync.Mutex
	kept [][]byte // what alloc took
}

// identity is the answer at /.
type identity struct {
	Service  string `json:"service"`
	Instance int    `json:"instance"`
	Pid      int    `json:"pid"`
	Strategy string `json:"strategy"`
}

func (h *httpService) serve(ctx context.Context, t *prefork.Task) error {
	me := identity{Service: t.Service(), Instance: t.Instance(), Pid: os.Getpid(), Strategy: t.Strategy()}
	return prefork.ServeHTTP(ctx, t, &http.Server{
		Handler:           h.handler(me, os.Getenv(crashKey) != ""),
		ReadHeaderTimeout: 10 * time.Second,
	})
}

// check is asked before each sign of life of the worker.
func (h *httpService) check(ctx context.Context) error {
	if h.hung.Load() {
		<-ctx.Done()
	}
	return ctx.Err()
}

// parameter is the one number that an endpoint needs.
type parameter struct {
	name     string
	min, max int
}

// of reads the parameter of a request; the error says what would be right.
func (p parameter) of(r *http.Request) (int, error) {
	given := r.URL.Query()[p.name]
	valid := fmt.Sprintf("give a whole number from %d to %d, as in %s?%s=%d", p.min, p.max, r.URL.Path, p.name, p.min)
	switch len(given) {
	case 0:
		return 0, fmt.Errorf("%s is missing: %s", p.name, valid)
	case 1:
	default:
		return 0, fmt.Errorf("%s is given %d times: give it once", p.name, len(given))
	}
	n, err := strconv.Atoi(given[0])
	if err != nil || n < p.min || n > p.max {
		return 0, fmt.Errorf("%s is %q: %s", p.name, given[0], valid)
	}
	return n, nil
}

// handler has all endpoints. Those that are not allowed say so.
func (h *httpService) handler(me identity, crashes bool) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/{$}", func(w http.ResponseWriter, _ *http.Request) { answer(w, me) })
	mux.HandleFunc("/sleep", with(parameter{"ms", 0, 600_000}, sleep))
	for path, endpoint := range map[string]http.HandlerFunc{
		"/exit":   with(parameter{"code", 0, 255}, exit),
		"/signal": with(parameter{"n", 1, 64}, signal),
		"/hang":   h.hang,
		"/alloc":  with(parameter{"mib", 1, 1 << 20}, h.alloc),
		"/leave":  leave,
	} {
		if !crashes {
			endpoint = refuse
		}
		mux.HandleFunc(path, endpoint)
	}
	return mux
}

// with hands an endpoint its parameter, and answers 400 if there is none.
func with(p parameter, endpoint func(http.ResponseWriter, *http.Request, int)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		n, err := p.of(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		endpoint(w, r, n)
	}
}

func sleep(w http.ResponseWriter, r *http.Request, ms int) {
	select {
	case <-time.After(time.Duration(ms) * time.Millisecond):
		answer(w, map[string]int{"slept_ms": ms, "pid": os.Getpid()})
	case <-r.Context().Done(): // nobody waits for the answer any more
	}
}

func refuse(w http.ResponseWriter, r *http.Request) {
	http.Error(w, r.URL.Path+" is not allowed: start tforkdemo prefork with --crash-endpoints", http.StatusForbidden)
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(v) // a client that is gone misses nothing
}
