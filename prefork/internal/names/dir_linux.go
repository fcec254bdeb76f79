// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package names

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-cb702d51/tfork-go/internal/peer"
	"github.com/seed-cb702d51/tfork-go/prefork/internal/message"
)

// lockName is the file whose lock says that a supervisor is here. It holds the
// supervisor's pid, for an error message only.
const lockName = "supervisor.lock"

// dir is an open runtime directory.
type dir struct {
	path string
	at   *os.File // the directory itself
	lock *os.File // nil in masters
	last atomic.Uint64
	mu   sync.Mutex // flock does not exclude goroutines of one process
}

// openDir is the supervisor's way in: make, check, lock, clear.
func openDir(path string, wait time.Duration) (*dir, error) {
	if err := supported(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("runtime directory: %w", err)
	}
	d, err := attachDir(path)
	if err != nil {
		return nil, err
	}
	err = d.private()
	if err == nil {
		err = d.takeLock()
	}
	if err == nil {
		err = d.clear(wait)
	}
	if err != nil {
		d.close()
		return nil, err
	}
	return d, nil
}

// removeDir is the end of a directory. A lock without a pid is one that is just
// being taken, for the first time.
func removeDir(path string) error {
	lock := filepath.Join(path, lockName)
	info, err := os.Lstat(lock)
	if err != nil {
		return fmt.Errorf("runtime directory: %w", err)
	}
	if info.Size() == 0 {
		return fmt.Errorf("%w: somebody is taking %s", ErrInUse, path)
	}
	d, err := attachDir(path)
	if err != nil {
		return err
	}
	defer d.close()
	if err = d.private(); err == nil {
		err = d.own()
	}
	if err == nil {
		err = d.takeLock()
	}
	if err == nil {
		err = d.clear(0)
	}
	if err != nil {
		return err
	}
	hidden, _ := filepath.Glob(filepath.Join(path, ".[0-9]*-[0-9]*")) // of starts that were cut short
	for _, file := range append(hidden, lock) {
		os.Remove(file) // what stays is what the next line says
	}
	return os.Remove(path)
}

// attachDir is everybody else's: the directory must be there.
func attachDir(path string) (*dir, error) {
	if err := supported(); err != nil {
		return nil, err
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("runtime directory: %w", err)
	}
	at, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("runtime directory: %w", err)
	}
	return &dir{path: path, at: at}, nil
}

// supported tells why there can be no names here. Where the kernel takes whoever
// asks for the other end of a socket, the asker's pid would pass for the pids of
// the server's processes, and everybody for the user that may ask.
func supported() error {
	if err := peer.HaveCredentials(); err != nil {
		return fmt.Errorf("runtime directory: %w", err)
	}
	return nil
}

// private refuses a directory in which others could put sockets.
func (d *dir) private() error {
	info, err := d.at.Stat()
	if err != nil {
		return fmt.Errorf("runtime directory: %w", err)
	}
	if !info.IsDir() {
		return fmt.Errorf("runtime directory %s: not a directory", d.path)
	}
	if mode := info.Mode().Perm(); mode&0o022 != 0 {
		return fmt.Errorf("runtime directory %s: others may write to it (mode %#o): chmod go-w", d.path, mode)
	}
	return nil
}

// own refuses a directory of somebody else, who could have put anything in the
// place of what is removed.
func (d *dir) own() error {
	info, err := d.at.Stat()
	if err != nil {
		return fmt.Errorf("runtime directory: %w", err)
	}
	if st, ok := info.Sys().(*syscall.Stat_t); !ok || int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("runtime directory %s: %w: it is another user's", d.path, os.ErrPermission)
	}
	return nil
}

// takeLock takes the directory. The lock goes with the descriptor, which no
// other process has: it is free again when the supervisor is gone, however it
// went.
func (d *dir) takeLock() (err error) {
	path := filepath.Join(d.path, lockName)
	if d.lock, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600); err != nil {
		return fmt.Errorf("runtime directory: %w", err)
	}
	err = d.control(d.lock, func(fd int) error { return unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) })
	if errors.Is(err, unix.EWOULDBLOCK) {
		pid, _ := os.ReadFile(path)
		return fmt.Errorf("%w: %s belongs to the supervisor with pid %s", ErrInUse, d.path, strings.TrimSpace(string(pid)))
	}
	if err != nil {
		return fmt.Errorf("runtime directory: %w", os.NewSyscallError("flock", err))
	}
	if err := d.lock.Truncate(0); err != nil {
		return fmt.Errorf("runtime directory: %w", err)
	}
	if _, err := d.lock.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0); err != nil {
		return fmt.Errorf("runtime directory: %w", err)
	}
	return nil
}

// clear removes what was left, and waits for those who are leaving.
func (d *dir) clear(wait time.Duration) error {
	for deadline, pause := time.Now().Add(wait), time.Millisecond; ; pause = min(2*pause, 100*time.Millisecond) {
		d.sweep()
		left := d.names()
		if len(left) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			_, pid, _ := ask(d.path, left[0], message.Message{Kind: message.Ping}, time.Second)
			return fmt.Errorf("%w: %s still lives there (pid %d), without its supervisor: end it first", ErrInUse, left[0], pid)
		}
		time.Sleep(pause)
	}
}

// close gives up the lock last: until then nobody else may come.
func (d *dir) close() error {
	var errs []error
	if d.lock != nil {
		errs = append(errs, d.lock.Close())
	}
	return errors.Join(append(errs, d.at.Close())...)
}

// names returns the names of all processes.
func (d *dir) names() []string {
	entries, _ := os.ReadDir(d.path)
	var found []string
	for _, e := range entries {
		if _, _, _, ok := Split(e.Name()); ok && e.Type() == os.ModeSocket {
			found = append(found, e.Name())
		}
	}
	return found
}

// reach returns a path to a file of the directory that fits a socket address,
// however long the directory's own is.
func (d *dir) reach(name string) string {
	path := filepath.Join(d.path, name)
	if len(path) < len(unix.RawSockaddrUnix{}.Path) {
		return path
	}
	d.control(d.at, func(fd int) error {
		path = fmt.Sprintf("/proc/self/fd/%d/%s", fd, name)
		return nil
	})
	return path
}

// changeTimeout is how long a change of names waits for another process's: one
// that was stopped in the middle must not stop everybody.
const changeTimeout = time.Second

// change makes a change of names that looks first: between looking and doing
// no other process changes anything. Without it a process could remove the
// name that has just been given to its successor.
func (d *dir) change(do func() error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	flock := func(how int) error {
		return d.control(d.at, func(fd int) error { return unix.Flock(fd, how) })
	}
	for deadline := time.Now().Add(changeTimeout); flock(unix.LOCK_EX|unix.LOCK_NB) != nil && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	defer flock(unix.LOCK_UN)
	return do()
}

// prune looks for the socket first: its name may have been exchanged.
func (d *dir) prune(id ID) error {
	return d.change(func() error {
		name := d.find(id)
		if name == "" {
			return nil
		}
		err := os.Remove(filepath.Join(d.path, name))
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		return err
	})
}

// find returns the present name of a socket file, or "".
func (d *dir) find(id ID) string {
	entries, _ := os.ReadDir(d.path)
	for _, e := range entries {
		if got, err := identify(filepath.Join(d.path, e.Name())); err == nil && got == id {
			return e.Name()
		}
	}
	return ""
}

// identify tells which file a path means, without following links.
func identify(path string) (ID, error) {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return ID{}, os.NewSyscallError("lstat", err)
	}
	return ID{Dev: uint64(st.Dev), Ino: st.Ino}, nil
}

// promote is exchange, with nobody else at work.
func (d *dir) promote(id ID, name string, right Place) error {
	return d.change(func() error {
		if d.lost(right) {
			return nil
		}
		return d.exchange(id, name)
	})
}

// lost tells whether another socket has the place.
func (d *dir) lost(p Place) bool {
	got, err := identify(filepath.Join(d.path, p.Name))
	return p != Place{} && err == nil && got != p.ID
}

// settle gives a new socket its first name, in a change.
func (d *dir) settle(temp string, id ID, name, spare string, right Place) error {
	lost, taken := d.lost(right), false
	if _, err := identify(filepath.Join(d.path, name)); !lost && err == nil {
		taken = !d.refuses(name)
	}
	to := name
	if lost || taken {
		to = spare
	}
	err := os.Rename(filepath.Join(d.path, temp), filepath.Join(d.path, to))
	if err == nil && taken {
		err = d.exchange(id, name)
	}
	return err
}

// exchange is promote, in a change.
func (d *dir) exchange(id ID, name string) error {
	old := d.find(id)
	if old == name {
		return nil
	}
	if old == "" {
		return fmt.Errorf("runtime directory: the socket of %s has no name any more", name)
	}
	from, to := filepath.Join(d.path, old), filepath.Join(d.path, name)
	err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_EXCHANGE)
	if err == nil {
		return nil
	}
	// Nobody has the name, or the file system cannot exchange: then who had it
	// loses it, which matters only to those who look at it while it leaves.
	return os.Rename(from, to)
}

// sweep removes the names at which nobody listens.
func (d *dir) sweep() (removed []string) {
	for _, name := range d.names() {
		if !d.refuses(name) {
			continue
		}
		d.change(func() error {
			// Again: it may have been given to a new process meanwhile.
			if d.refuses(name) && os.Remove(filepath.Join(d.path, name)) == nil {
				removed = append(removed, name)
			}
			return nil
		})
	}
	return removed
}

// refuses tells whether nobody listens at a name, beyond doubt.
func (d *dir) refuses(name string) bool {
	c, err := d.dial(name, time.Second)
	if err == nil {
		c.Close()
	}
	return errors.Is(err, unix.ECONNREFUSED)
}

// control lends the descriptor of a file.
func (d *dir) control(f *os.File, do func(fd int) error) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var doErr error
	if err := raw.Control(func(fd uintptr) { doErr = do(int(fd)) }); err != nil {
		return err
	}
	return doErr
}
