// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/sys"
	"github.com/seed-cb702d51/tfork-go/internal/testutil"
)

// paperGroup is a directory of plain files: what it says changes when the test
// wants it to, and it can be removed at any moment.
func paperGroup(t *testing.T, events string) *Group {
	t.Helper()
	g := &Group{path: filepath.Join(t.TempDir(), "group")}
	err := os.Mkdir(g.path, 0o755)
	for name, text := range map[string]string{"cgroup.events": events, "cgroup.freeze": "0\n", "cgroup.procs": ""} {
		err = errors.Join(err, os.WriteFile(filepath.Join(g.path, name), []byte(text), 0o644))
	}
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// afterOneLook is a context for poll, which asks for Done when it has looked in
// vain: f is called then, the first time.
type afterOneLook struct {
	context.Context
	f func()
}

func (c afterOneLook) Done() <-chan struct{} {
	c.f()
	return c.Context.Done()
}

// noDescriptors takes them all away, until give is called.
func noDescriptors(t *testing.T) (give func()) {
	t.Helper()
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	give = sync.OnceFunc(func() { unix.Setrlimit(unix.RLIMIT_NOFILE, &old) })
	t.Cleanup(give)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 3, Max: old.Max}); err != nil {
		t.Fatal(err)
	}
	return give
}

// over is a context that has ended: one look.
func over() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// TestKill_GroupOutOfSightIsKilled: its path may lead nowhere by now, in another
// root or under another mount.
func TestKill_GroupOutOfSightIsKilled(t *testing.T) {
	g := newGroup(t, newParent(t), Limits{})
	c := mustStart(t, g, "/bin/sleep", "100")
	hidden := &Group{path: filepath.Join(t.TempDir(), "x"), dir: g.dir}
	if err := hidden.Kill(); err != nil {
		t.Errorf("Kill = %v", err)
	}
	testutil.Poll(t, time.Minute, "the process has ended", func() bool { return !testutil.Alive(c.Process.Pid) })
	c.Wait()
}

// needsToKnowItsPlace skips the test where the process is in a v2 cgroup and sees
// none: nothing is frozen there.
func needsToKnowItsPlace(t *testing.T, g *Group) {
	t.Helper()
	if err := g.spareCaller(); err != nil {
		t.Skip(err)
	}
}

// TestSparesItsCaller_NotToKnowIsNoAnswer: a moment later there may be a
// descriptor for the order, and it would be for the caller as well.
func TestSparesItsCaller_NotToKnowIsNoAnswer(t *testing.T) {
	orders := map[string]func(*Group) error{
		"Kill":   (*Group).Kill,
		"Freeze": func(g *Group) error { return g.Freeze(over()) },
	}
	for name, order := range orders {
		t.Run(name, func(t *testing.T) {
			g := paperGroup(t, "populated 1\nfrozen 0\n")
			dir, err := os.Open(g.path)
			if err != nil {
				t.Fatal(err)
			}
			defer dir.Close()
			g.dir = dir
			give := noDescriptors(t)
			err = order(g)
			give()
			if !sys.Short(err) || !strings.Contains(err.Error(), "whether the calling process is in") {
				t.Errorf("%s = %v, want that it cannot tell who is inside", name, err)
			}
		})
	}
}

// TestKill_NothingToDoNeedsNoDescriptor: neither a closed group nor a removed one
// asks where the caller is.
func TestKill_NothingToDoNeedsNoDescriptor(t *testing.T) {
	g := paperGroup(t, "")
	dir, err := os.Open(g.path)
	if err != nil {
		t.Fatal(err)
	}
	g.dir = dir
	os.RemoveAll(g.path)
	noDescriptors(t)
	if err := g.Kill(); err != nil {
		t.Errorf("Kill of a removed group = %v", err)
	}
	g.Close()
	if err := g.Kill(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Kill of a closed group = %v", err)
	}
}

func TestFreeze_GroupIsRemovedMeanwhile(t *testing.T) {
	g := paperGroup(t, "populated 1\nfrozen 0\n")
	needsToKnowItsPlace(t, g)
	remove := sync.OnceFunc(func() { os.RemoveAll(g.path) })
	if err := g.Freeze(afterOneLook{deadline(t), remove}); !errors.Is(err, ErrRemoved) {
		t.Errorf("Freeze = %v", err)
	}
}

func TestFreeze_SaysThatProcessesRun(t *testing.T) {
	g := paperGroup(t, "populated 1\nfrozen 0\n")
	needsToKnowItsPlace(t, g)
	if err := g.Freeze(over()); !errors.Is(err, context.Canceled) {
		t.Errorf("Freeze = %v", err)
	}
}

func TestWaitEmpty_LooksAgainWhereItCouldNot(t *testing.T) {
	g := paperGroup(t, "populated 1\nfrozen 0\n")
	ctx := deadline(t)
	give, looks := noDescriptors(t), 0
	err := g.waitEmpty(afterOneLook{ctx, func() {
		if looks++; looks != 2 {
			return
		}
		give()
		if err := os.WriteFile(filepath.Join(g.path, "cgroup.events"), []byte("populated 0\n"), 0o644); err != nil {
			t.Error(err)
		}
	}})
	if err != nil || looks != 2 {
		t.Errorf("waitEmpty = %v after %d looks in vain, want 2", err, looks)
	}
}

func TestWaitEmpty_Errors(t *testing.T) {
	tests := []struct {
		name   string
		events string
		change func(t *testing.T, g *Group)
		want   error
	}{
		{"empty", "populated 0\n", func(*testing.T, *Group) {}, nil},
		{"removed", "populated 1\n", func(_ *testing.T, g *Group) { os.RemoveAll(g.path) }, nil},
		{"populated", "populated 1\n", func(*testing.T, *Group) {}, ErrPopulated},
		{"no descriptors", "populated 1\n", func(t *testing.T, _ *Group) { noDescriptors(t) }, unix.EMFILE},
		{"unreadable", "populated 1\n", makeUnreadable, unix.EISDIR},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := paperGroup(t, tt.events)
			tt.change(t, g)
			if err := g.waitEmpty(over()); !errors.Is(err, tt.want) {
				t.Errorf("waitEmpty = %v, want %v", err, tt.want)
			}
		})
	}
}

// makeUnreadable holds for root too.
func makeUnreadable(t *testing.T, g *Group) {
	events := filepath.Join(g.path, "cgroup.events")
	if err := errors.Join(os.Remove(events), os.Mkdir(events, 0o755)); err != nil {
		t.Fatal(err)
	}
}

// TestJob_NoSampleOfTheEndIsAnError: numbers from before are none of the end.
func TestJob_NoSampleOfTheEndIsAnError(t *testing.T) {
	g := paperGroup(t, "populated 1\n")
	makeUnreadable(t, g)
	j := &Job{group: g, last: Sample{HasCPU: true}}
	if err := j.remove(); err == nil {
		t.Error("remove says that all is well")
	}
	if s, err := j.Sample(); !errors.Is(err, unix.EISDIR) {
		t.Errorf("Sample = %+v, %v", s, err)
	}
}

// TestKill_ListedAsZero: it is on its way out, or it stays.
func TestKill_ListedAsZero(t *testing.T) {
	for _, tt := range []struct{ events, want string }{
		{"populated 0\n", ""},
		{"populated 1\n", "another pid namespace"},
	} {
		g := paperGroup(t, tt.events)
		if err := os.WriteFile(filepath.Join(g.path, "cgroup.procs"), []byte("0\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		err := g.killListed(over())
		if (err != nil) != (tt.want != "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("killed, with %q: %v, want %q", tt.events, err, tt.want)
		}
	}
}
