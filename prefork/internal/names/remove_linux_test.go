// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package names

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
)

// TestPrune_NeverTheNextOne: file systems give the number of a file that is gone
// to the next one.
func TestPrune_NeverTheNextOne(t *testing.T) {
	testutil.NeedPeerCredentials(t)
	d := open(t, tempDir(t))
	for range 20 {
		dead, err := d.Bind("prefork-master-dead")
		if err != nil {
			t.Fatal(err)
		}
		dead.File.Close()
		if swept := d.Sweep(); len(swept) != 1 {
			t.Fatalf("swept %v, want the dead one", swept)
		}
		next, err := d.Bind("prefork-master-next")
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Prune(dead.ID); err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(filepath.Join(d.Path(), "prefork-master-next")); err != nil {
			t.Fatalf("the next one lost its name: %v", err)
		}
		dead.Pin.Close()
		next.Close()
		d.Sweep()
	}
}

func TestRemove_OnlyWhatACrashLeft(t *testing.T) {
	testutil.NeedPeerCredentials(t)
	path := tempDir(t)
	if err := Remove(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a directory of nobody: %v", err)
	}
	d := open(t, path)
	_, stop := serve(t, d, "prefork-worker-http-0", "")
	if err := Remove(path); !errors.Is(err, ErrInUse) {
		t.Errorf("with a supervisor: %v", err)
	}
	d.Close()
	if err := Remove(path); !errors.Is(err, ErrInUse) {
		t.Errorf("with a worker: %v", err)
	}
	stop()
	other := filepath.Join(path, "something else")
	if err := os.WriteFile(other, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Remove(path); !errors.Is(err, unix.ENOTEMPTY) {
		t.Errorf("with a file of others: %v", err)
	}
	os.Remove(other)
	os.WriteFile(filepath.Join(path, lockName), nil, 0o600)
	if err := Remove(path); !errors.Is(err, ErrInUse) {
		t.Errorf("with a lock that is being taken: %v", err)
	}
	os.WriteFile(filepath.Join(path, lockName), []byte("12\n"), 0o600)
	if err := Remove(path); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it is still there: %v", err)
	}
}

// TestRemove_NotOfAnotherUser: who owns the directory could have put a link in
// the place of the lock.
func TestRemove_NotOfAnotherUser(t *testing.T) {
	testutil.NeedPeerCredentials(t)
	path := tempDir(t)
	target := filepath.Join(t.TempDir(), "target")
	os.WriteFile(target, []byte("precious"), 0o600)
	if err := os.Symlink(target, filepath.Join(path, lockName)); err != nil {
		t.Fatal(err)
	}
	if err := Remove(path); !errors.Is(err, unix.ELOOP) {
		t.Errorf("a lock that is a link: %v", err)
	}
	if _, err := Open(path, 0); !errors.Is(err, unix.ELOOP) {
		t.Errorf("a lock that is a link: %v", err)
	}
	if got := testutil.ReadFile(target); got != "precious" {
		t.Errorf("what it leads to now holds %q", got)
	}
	if err := os.Chown(path, 64724, 64724); err != nil {
		t.Skipf("only root can give a directory away: %v", err)
	}
	if err := Remove(path); !errors.Is(err, os.ErrPermission) {
		t.Errorf("of another user: %v", err)
	}
}
