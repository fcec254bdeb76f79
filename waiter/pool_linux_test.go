// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package waiter

import (
	"errors"
	"os"
	"strconv"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
)

// shell is a request to run a script.
func shell(script string) *Request {
	return &Request{
		Path: "/bin/sh", Args: []string{"sh", "-c", script}, Env: os.Environ(),
		Files: []uintptr{0, 1, 2},
	}
}

// spawn starts a worker that the test does not leave behind.
func spawn(t testing.TB, p *Pool, r *Request) *Worker {
	t.Helper()
	w, err := p.Spawn(r)
	if err != nil {
		t.Fatalf("Spawn: %v", err)
	}
	t.Cleanup(func() {
		if fd, ok := w.TakePidFD(); ok {
			unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
			unix.Close(fd)
		}
	})
	return w
}

// newPool returns a pool that leaves no waiter behind.
func newPool(t testing.TB) *Pool {
	p := &Pool{}
	t.Cleanup(p.CloseIdle)
	return p
}

func TestSpawn_StatusIsTrue(t *testing.T) {
	tests := []struct {
		script string
		want   syscall.WaitStatus
	}{
		{"exit 0", 0},
		{"exit 7", 7 << 8},
		{"exit 255", 255 << 8},
		{"kill -TERM $$", 15},
		{"kill -KILL $$", 9},
	}
	testutil.ForEachSIGCHLD(t, func(t *testing.T) {
		for _, dedicated := range []bool{false, true} {
			for _, tt := range tests {
				t.Run(tt.script+" dedicated="+strconv.FormatBool(dedicated), func(t *testing.T) {
					r := shell(tt.script)
					r.Dedicated = dedicated
					w := spawn(t, &pool, r)
					got, rusage, err := w.Result()
					if err != nil || got != tt.want {
						t.Errorf("Result = %#x, %v; want %#x", got, err, tt.want)
					}
					if rusage == nil || rusage.Maxrss == 0 {
						t.Errorf("rusage %+v", rusage)
					}
					if err := w.Signal(unix.SIGTERM); !errors.Is(err, os.ErrProcessDone) {
						t.Errorf("Signal after the end: %v", err)
					}
				})
			}
		}
	})
}
