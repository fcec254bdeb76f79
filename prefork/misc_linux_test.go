// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package prefork

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
	"github.com/seed-cb702d51/tfork-go/prefork/config"
)

func TestNew_Refuses(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	bad := config.Default()
	bad.Children = -1
	taken := config.Default()
	taken.Listen = []string{"tcp:127.0.0.1:0", "tcp:" + busy.Addr().String()}
	manager := config.Default()
	manager.Listen = []string{"systemd:web"}
	other := config.Default()
	stranger := config.Default()
	stranger.User = "no-such-user"
	strangers := config.Default()
	strangers.Group = "no-such-group"
	tests := []struct {
		name string
		o    Options
		want string
	}{
		{"unknown service", Options{Services: []string{"nosuch"}}, `no service "nosuch"`},
		{"listed twice", Options{Services: []string{"http", "HTTP"}}, "listed twice"},
		{"unknown model", Options{Config: config.Config{Model: "threads"}}, `no process model "threads"; known are: prefork, single`},
		{"bad value", Options{Config: config.Config{Defaults: &bad}}, "children = -1"},
		{"settings for nobody", Options{Config: config.Config{Services: map[string]*config.Settings{"nosuch": &other}}}, `service.nosuch`},
		{"address in use", Options{Services: []string{"http"}, Config: config.Config{Services: map[string]*config.Settings{"http": &taken}}}, "address already in use"},
		{"no manager", Options{Services: []string{"http"}, Config: config.Config{Services: map[string]*config.Settings{"http": &manager}}}, "passed no socket"},
		{"unknown user", Options{Config: config.Config{Defaults: &stranger}}, `user = "no-such-user"`},
		{"unknown group", Options{Config: config.Config{Services: map[string]*config.Settings{"http": &strangers}}}, `service.http: group = "no-such-group"`},
		{"log file", Options{Config: config.Config{LogFile: filepath.Join(t.TempDir(), "no", "such")}}, "log file"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if len(tt.o.Services) > 0 && tt.o.Config.Services != nil {
				testutil.NeedPeerCredentials(t) // what is wrong shows later
			}
			s, err := New(tt.o)
			if err == nil {
				s.Close()
				t.Fatal("accepted")
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}

func TestRegister_Panics(t *testing.T) {
	serve := func(context.Context, *Task) error { return nil }
	for name, f := range map[string]func(){
		"no name":       func() { Register(Service{Serve: serve}) },
		"bad name":      func() { Register(Service{Name: "a/b", Serve: serve}) },
		"no Serve":      func() { Register(Service{Name: "x"}) },
		"taken":         func() { Register(Service{Name: "HTTP", Serve: serve}) },
		"taken model":   func() { RegisterModel("single", singleModel{}) },
		"another taken": func() { RegisterModel("", singleModel{}) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			f()
		})
	}
}

// TestServer_SingleModel runs everything in this very process.
func TestServer_SingleModel(t *testing.T) {
	testutil.NeedPeerCredentials(t)
	s, err := New(Options{Services: []string{"http", "echo"}, Config: config.Config{Model: "single"}})
	if err != nil {
		t.Fatal(err)
	}
	dir := s.RuntimeDir()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	<-s.Ready()
	resp, err := client.Get("http://" + s.Addrs("http")[0].String() + "/")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	echoed(t, "udp", s.Addrs("echo")[1].String())
	table, err := Processes(dir)
	if err != nil || len(table) != 1 || table[0].Pid != os.Getpid() || table[0].State != StateReady {
		t.Errorf("table %+v, %v", table, err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the temporary directory is left: %v", err)
	}
	if err := s.Run(context.Background()); err == nil {
		t.Error("a second Run")
	}
}

// TestServeHTTP_ServesWhatItAccepted: a connection that was accepted, and sends
// its request only after the stop, gets its answer.
func TestServeHTTP_ServesWhatItAccepted(t *testing.T) {
	testutil.NeedPeerCredentials(t)
	s, err := New(Options{Services: []string{"http"}, Config: config.Config{Model: "single"}})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- s.Run(context.Background()) }()
	<-s.Ready()
	address := s.Addrs("http")[0].String()
	early := dialWithin(t, "tcp", address)
	if resp, err := client.Get("http://" + address + "/"); err != nil { // accepted after the early one
		t.Error(err)
	} else {
		resp.Body.Close()
	}
	s.Stop()
	testutil.Poll(t, patience, "nobody accepts any more", func() bool {
		p, err := Processes(s.RuntimeDir())
		return err == nil && len(p) == 1 && p[0].State == StateDraining
	})
	fmt.Fprintf(early, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(early), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("answered %s", resp.Status)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestServer_AddrsAtAnyTime: also while Run ends.
func TestServer_AddrsAtAnyTime(t *testing.T) {
	testutil.NeedPeerCredentials(t)
	s, err := New(Options{Services: []string{"echo"}, Config: config.Config{Model: "single"}})
	if err != nil {
		t.Fatal(err)
	}
	s.Stop()
	done := make(chan error)
	go func() { done <- s.Run(t.Context()) }()
	for ended := false; !ended; {
		select {
		case err := <-done:
			if ended = true; err != nil {
				t.Error(err)
			}
		default:
		}
		if got := s.Addrs("Echo"); len(got) != 2 {
			t.Fatalf("addresses %v", got)
		}
	}
}

func TestServer_RunAfterClose(t *testing.T) {
	testutil.NeedPeerCredentials(t)
	s, err := New(Options{Services: []string{"http"}, Config: config.Config{Model: "single"}})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	if err := s.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "after Close") {
		t.Errorf("Run: %v", err)
	}
}

// TestServer_InThisProcess: a server leaves nothing behind in the process that
// ran it, which the package's TestMain counts.
func TestServer_InThisProcess(t *testing.T) {
	testutil.NeedPeerCredentials(t)
	st := config.Default()
	st.Children = 2
	s, err := New(Options{Services: []string{"http"}, Config: config.Config{Defaults: &st}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	select {
	case <-s.Ready():
	case <-time.After(testutil.Scaled(patience)):
		t.Error("not ready")
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestExitCode(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{errors.New("x"), 127},
		{&Exit{Code: 3}, 3},
		{&Exit{Code: 255}, 255},
		{&Exit{Code: 256}, 127},
		{&Exit{Code: -1}, 127},
		{fmt.Errorf("deep: %w", &Exit{Code: 4, Err: http.ErrServerClosed}), 4},
	} {
		if got := exitCode(tt.err); got != tt.want {
			t.Errorf("exitCode(%v) = %d, want %d", tt.err, got, tt.want)
		}
	}
	if e := (&Exit{Code: 4, Err: http.ErrServerClosed}); !errors.Is(e, http.ErrServerClosed) {
		t.Error("the cause is not wrapped")
	}
}
