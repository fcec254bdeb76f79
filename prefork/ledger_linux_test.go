// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package prefork

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// ledgerKey names the file in which the workers of the load service write down
// each connection, as soon as accept has returned it and before anything of it
// is served. What write(2) has taken stays, whoever is killed then.
const ledgerKey = "TEST_LEDGER"

var loadService = testService(Service{Name: "load", Listen: []string{"tcp:127.0.0.1:0"}, Serve: serveLoad})

// serveLoad takes a few milliseconds for each request, so that there are always
// some that a kill can hit, and longer if it is asked to.
func serveLoad(ctx context.Context, t *Task) error {
	ledger, err := os.OpenFile(os.Getenv(ledgerKey), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	defer ledger.Close()
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(http.ResponseWriter, *http.Request) { time.Sleep(20 * time.Millisecond) })
	mux.HandleFunc("/hold", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	return ServeHTTP(ctx, t, &http.Server{
		Handler: mux,
		// http.Server calls this in the goroutine that called Accept, before it
		// serves the connection or calls Accept again.
		ConnState: func(c net.Conn, s http.ConnState) {
			if s == http.StateNew {
				fmt.Fprintln(ledger, os.Getpid(), time.Now().UnixNano(), c.RemoteAddr())
			}
		},
	})
}

// taken is one connection that a worker has accepted.
type taken struct {
	pid    int
	at     time.Time
	client string // the client's address
}

// readLedger returns what the workers have written so far.
func readLedger(t testing.TB, path string) (all []taken) {
	t.Helper()
	for line := range strings.Lines(readFile(t, path)) {
		var c taken
		var at int64
		if _, err := fmt.Sscan(line, &c.pid, &at, &c.client); err != nil {
			t.Fatalf("ledger: %q: %v", line, err)
		}
		c.at = time.Unix(0, at)
		all = append(all, c)
	}
	return all
}

// request is one that a client has made, on a connection of its own.
type request struct {
	client   string // its end of the connection, or "" if there was none
	from, to time.Time
	err      error
}

// kill is a SIGKILL that a test has sent. The worker was gone at after; master
// says that the victim served nobody.
type kill struct {
	pid           int
	before, after time.Time
	master        bool
}

// verdict sorts the failed requests of a load.
type verdict struct {
	requests, failed int
	// unrecorded failures have no worker in the ledger. They are those of workers
	// that were killed between accept(2) and the write of the next line.
	unrecorded int
	// wrong are descriptions of failures that nobody's death explains.
	wrong []string
}

// judge gives each failed request to the worker that had it, and holds that the
// test killed this worker while it did. A connection that is still in the
// kernel's queue belongs to nobody, and must not fail: it would be unrecorded.
//
// One connection for each kill of a worker may be unrecorded and yet right: the
// one that it took when it had no time left to write that down. There cannot be
// two, because a worker writes before it accepts again. It must have broken at
// that very kill.
func judge(requests []request, ledger []taken, kills []kill) (v verdict) {
	v.requests = len(requests)
	unused := slices.Clone(kills)
	for _, r := range requests {
		if r.err == nil {
			continue
		}
		v.failed++
		if reason := blame(r, ledger, kills); reason == nobody {
			v.unrecorded++
			i := slices.IndexFunc(unused, func(k kill) bool { return !k.master && broke(r, k) })
			if i < 0 {
				v.wrong = append(v.wrong, fmt.Sprintf("no worker had it, and none was killed just then: %v", r))
				continue
			}
			unused = slices.Delete(unused, i, i+1)
		} else if reason != "" {
			v.wrong = append(v.wrong, fmt.Sprintf("%s: %v", reason, r))
		}
	}
	return v
}

// nobody is the answer of blame for a connection that is not in the ledger.
const nobody = "nobody"

// blame returns "" if the worker that had the request was killed meanwhile, and
// otherwise what is wrong.
func blame(r request, ledger []taken, kills []kill) string {
	if r.client == "" {
		return "no connection came about"
	}
	// Ports are used again: it is the one of this time.
	i := slices.IndexFunc(ledger, func(c taken) bool {
		return c.client == r.client && !c.at.Before(r.from) && !c.at.After(r.to)
	})
	if i < 0 {
		return nobody
	}
	for _, k := range kills {
		if k.pid == ledger[i].pid && broke(r, k) && !ledger[i].at.After(k.after) {
			return ""
		}
	}
	return fmt.Sprintf("pid %d had it, and was not killed meanwhile", ledger[i].pid)
}

// broke tells whether the connection broke, without an answer, when or after
// the kill happened.
func broke(r request, k kill) bool {
	cut := errors.Is(r.err, io.EOF) || errors.Is(r.err, io.ErrUnexpectedEOF) || errors.Is(r.err, syscall.ECONNRESET) || errors.Is(r.err, syscall.EPIPE) ||
		// http.Client's word for a connection that ended before it had sent anything.
		strings.Contains(r.err.Error(), "server closed idle connection")
	return cut && !r.from.After(k.after) && !r.to.Before(k.before)
}

func (r request) String() string {
	return fmt.Sprintf("client %s, %s to %s: %v", r.client, r.from.Format(time.StampMicro), r.to.Format(time.StampMicro), r.err)
}

// TestJudge: the proof is worth what its judge is.
func TestJudge(t *testing.T) {
	begin := time.Now()
	at := func(ms int) time.Time { return begin.Add(time.Duration(ms) * time.Millisecond) }
	ledger := []taken{
		{pid: 6, at: at(-500), client: "me"}, // an earlier one with the same port
		{pid: 7, at: at(1), client: "me"},
		{pid: 8, at: at(1), client: "other"},
	}
	kill7, late7 := kill{pid: 7, before: at(5), after: at(6)}, kill{pid: 7, before: at(50), after: at(51)}
	kill9 := kill{pid: 9, before: at(5), after: at(6)}
	failed := func(client string, err error) request { return request{client, at(0), at(10), err} }
	cut, refused := failed("me", io.EOF), failed("", syscall.ECONNREFUSED)
	tests := []struct {
		name     string
		requests []request
		kills    []kill
		want     string
	}{
		{"answered", []request{failed("me", nil)}, nil, ""},
		{"its worker was killed", []request{cut}, []kill{kill7}, ""},
		{"its worker was not killed", []request{cut}, []kill{kill9}, "pid 7 had it, and was not killed meanwhile"},
		{"its worker was killed later", []request{cut}, []kill{late7}, "pid 7 had it, and was not killed meanwhile"},
		{"another error than a broken connection", []request{failed("me", os.ErrDeadlineExceeded)}, []kill{kill7}, "pid 7 had it"},
		{"refused", []request{refused}, []kill{kill7, kill9}, "no connection came about"},
		{"unrecorded, and a worker was killed", []request{failed("stranger", syscall.ECONNRESET)}, []kill{kill9}, ""},
		{"unrecorded, and a master was killed", []request{failed("stranger", io.EOF)}, []kill{{pid: 9, before: at(5), after: at(6), master: true}}, "no worker had it"},
		{"unrecorded, and none was killed just then", []request{failed("stranger", io.EOF)}, []kill{late7}, "no worker had it"},
		{"two unrecorded for one kill", []request{failed("stranger", io.EOF), failed("another", io.EOF)}, []kill{kill9}, "no worker had it"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := judge(tt.requests, ledger, tt.kills)
			if got := strings.Join(v.wrong, "\n"); (got == "") != (tt.want == "") || !strings.HasPrefix(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
