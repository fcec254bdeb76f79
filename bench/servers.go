// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"syscall"

	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/fasthttpadaptor"
	fastprefork "github.com/valyala/fasthttp/prefork"

	"github.com/seed-cb702d51/tfork-go/prefork"
	"github.com/seed-cb702d51/tfork-go/prefork/config"
)

// kind is a way to serve. It blocks as long as it serves.
type kind struct {
	name  string
	serve func(address string, workers int) error
	alone bool // one process, whatever the number of workers
}

// kinds are all ways, by the word that starts them.
var kinds = map[string]kind{
	"one":          {"net/http, one process", serveOne, true},
	"tfork-net":    {"tfork-go prefork, net/http", serveTfork(netService, false), false},
	"tfork-own":    {"tfork-go prefork, net/http, reuse-port", serveTfork(netService, true), false},
	"fast-net":     {"fasthttp prefork, net/http", serveFast(serveNet), false},
	"fast-adaptor": {"fasthttp prefork, net/http handler by fasthttpadaptor", serveFast(serveAdapted), false},
	"tfork-fast":   {"tfork-go prefork, fasthttp", serveTfork(fastService, false), false},
	"fast-fast":    {"fasthttp prefork, fasthttp", serveFast(serveFastHTTP), false},
}

// order is that of the tables.
var order = []string{"one", "tfork-net", "tfork-own", "fast-net", "fast-adaptor", "tfork-fast", "fast-fast"}

// body tells who answers, which is how the client finds the worker to kill.
var body = []byte("hello from " + strconv.Itoa(os.Getpid()) + "\n")

// handler is the answer by net/http.
var handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Write(body)
})

// fastHandler is the same answer by fasthttp.
func fastHandler(c *fasthttp.RequestCtx) {
	c.SetContentType("text/plain; charset=utf-8")
	c.Write(body)
}

// server is the life of a server process: it serves until its standard input
// ends, or its master does that for it.
func server(args []string) error {
	workers, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	if !fastprefork.IsChild() {
		go func() {
			io.Copy(io.Discard, os.Stdin)
			p, _ := os.FindProcess(os.Getpid())
			p.Signal(syscall.SIGTERM) // not SIGINT, which is ignored in the background of a shell
		}()
	}
	return kinds[args[0]].serve(args[1], workers)
}

func serveOne(address string, _ int) error {
	ln, err := net.Listen("tcp4", address)
	if err != nil {
		return err
	}
	return serveNet(ln)
}

func serveNet(ln net.Listener) error { return (&http.Server{Handler: handler}).Serve(ln) }

func serveFastHTTP(ln net.Listener) error {
	return (&fasthttp.Server{Handler: fastHandler}).Serve(ln)
}

func serveAdapted(ln net.Listener) error {
	return (&fasthttp.Server{Handler: fasthttpadaptor.NewFastHTTPHandler(handler)}).Serve(ln)
}

// The two services of package prefork.
const netService, fastService = "net", "fast"

// register makes them known, before tfork.Dispatch.
func register() {
	prefork.Register(prefork.Service{Name: netService, Serve: func(ctx context.Context, t *prefork.Task) error {
		return prefork.ServeHTTP(ctx, t, &http.Server{Handler: handler})
	}})
	prefork.Register(prefork.Service{Name: fastService, Serve: func(_ context.Context, t *prefork.Task) error {
		if err := serveFastHTTP(t.Listeners()[0]); !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil
	}})
}

// serveTfork serves by package prefork. Workers that are killed are followed at
// once, as fasthttp's are.
func serveTfork(service string, reusePort bool) func(string, int) error {
	return func(address string, workers int) error {
		st := config.Default()
		st.Listen, st.Children, st.BackoffIncrement = []string{"tcp4:" + address}, workers, 0
		st.ReusePort = reusePort
		s, err := prefork.New(prefork.Options{
			Config: config.Config{LogFile: os.DevNull, Defaults: &st}, Services: []string{service},
		})
		if err != nil {
			return err
		}
		return s.Run(context.Background())
	}
}

// serveFast serves by fasthttp's prefork, which starts as many workers as
// GOMAXPROCS says, and by default gives up after half as many deaths.
func serveFast(serve func(net.Listener) error) func(string, int) error {
	return func(address string, workers int) error {
		runtime.GOMAXPROCS(workers)
		p := &fastprefork.Prefork{
			ServeFunc: serve, RecoverThreshold: 1 << 30, Logger: quiet{},
			OnMasterDeath: func() { os.Exit(1) },
		}
		return p.ListenAndServe(address)
	}
}

// quiet is a logger for those that insist on one.
type quiet struct{}

// Printf does nothing.
func (quiet) Printf(string, ...any) {}

// freeAddress is one at which nobody listened a moment ago. fasthttp's prefork
// does not tell which port it got, so all get theirs in this way.
func freeAddress() (string, error) {
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("no free port: %w", err)
	}
	defer ln.Close()
	return ln.Addr().String(), nil
}
