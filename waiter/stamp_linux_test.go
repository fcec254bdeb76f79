// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package waiter

import (
	"errors"
	"io"
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
	"github.com/seed-cb702d51/tfork-go/internal/wire"
)

// onAnotherThread calls f on a thread other than the main one.
func onAnotherThread(f func(tid int)) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		f(unix.Gettid())
	}()
	<-done
}

func TestIsThread(t *testing.T) {
	w := spawnLive(t, &pool, nil)
	onAnotherThread(func(tid int) {
		for _, tt := range []struct {
			what     string
			pid, tid int
			want     bool
		}{
			{"the main thread", os.Getpid(), os.Getpid(), true},
			{"another thread", os.Getpid(), tid, true},
			{"another process", os.Getpid(), w.Pid(), false},
			{"a thread of another process", w.Pid(), tid, false},
			{"a thread that is gone", os.Getpid(), 0, false},
		} {
			if got := isThread(tt.pid, tt.tid); got != tt.want {
				t.Errorf("%s: %v, want %v", tt.what, got, tt.want)
			}
		}
	})
}

// TestCallersThread_OnlyWithoutPeerCredentials: where the kernel names the maker
// of a socket no thread's number is accepted in the place of its process's.
func TestCallersThread_OnlyWithoutPeerCredentials(t *testing.T) {
	testutil.NeedPeerCredentials(t)
	_, theirs, err := socketPair()
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	if callersThread(fdOf(theirs), os.Getpid()) != nil {
		t.Error("threads are accepted from the maker of the socket")
	}
}

// TestParse_StampOfAThread plays a kernel that stamps with threads.
func TestParse_StampOfAThread(t *testing.T) {
	const callers, strangers = 7777, 8888
	msg := wire.SignalInfo{Worker: 1}.Append(nil, 1)
	for id, ok := range map[int32]bool{int32(os.Getppid()): true, callers: true, strangers: false, 0: false} {
		oob := unix.UnixCredentials(&unix.Ucred{Pid: id, Uid: 5, Gid: 6})
		s := newServer(env{
			observe: func(_ *facts, buf []byte) []byte { return buf },
			thread:  func(tid int32) bool { return tid == callers },
		}, &outbox{})
		m, err := s.newThread().parse(msg, oob, 0)
		if (err == nil) != ok || err != nil && !errors.Is(err, errProtocol) {
			t.Errorf("stamp %d: %v", id, err)
		}
		if want := (unix.Ucred{Pid: int32(os.Getppid()), Uid: 5, Gid: 6}); ok && m.from != want {
			t.Errorf("stamp %d: from %+v, want %+v", id, m.from, want)
		}
	}
}

// TestNext_EndOfStream: an empty message is no end, unless nobody has sent it.
func TestNext_EndOfStream(t *testing.T) {
	type left struct{ code int }
	for _, tt := range []struct {
		name string
		oob  []byte
		end  bool
	}{
		{"nothing", nil, true},
		{"a stamp of nobody", unix.UnixCredentials(&unix.Ucred{Uid: nobody, Gid: nobody}), true},
		{"a stamp of somebody", unix.UnixCredentials(&unix.Ucred{Pid: 1}), false},
		{"descriptors", unix.UnixRights(int(null(t))), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newServer(env{
				observe: func(_ *facts, buf []byte) []byte { return buf },
				receive: func(_, oob []byte) (int, int, int, error) { return 0, copy(oob, tt.oob), 0, nil },
				exit:    func(code int) { panic(left{code}) },
			}, &outbox{})
			defer func() {
				if r := recover(); (r == nil) != tt.end || r != nil && r != (left{exitProtocol}) {
					t.Errorf("%v, want an end: %v", r, tt.end)
				}
			}()
			if _, err := s.newThread().next(); err != io.EOF {
				t.Errorf("%v, want EOF", err)
			}
		})
	}
}
