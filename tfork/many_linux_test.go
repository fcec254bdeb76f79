// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package tfork

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"testing"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
)

// helperMany holds children and prints what they cost: in a process of its own,
// whose memory no other test has used.
var helperMany = testutil.Helper("many workers", func(args []string) int {
	children, _ := strconv.Atoi(args[0])
	var failed failures
	got := holdChildren(&failed, mode{strategy: Direct}, args[1], children)
	fmt.Println(got.threads, got.bytesPerChild)
	return failed.report()
})

// failures stands in for a test in a process that is none.
type failures struct {
	testing.TB
	mu   sync.Mutex
	seen []string
}

func (f *failures) Helper() {}

func (f *failures) Errorf(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen = append(f.seen, fmt.Sprintf(format, args...))
}

func (f *failures) Fatal(args ...any) {
	f.Errorf("%s", fmt.Sprint(args...))
	f.report()
	os.Exit(1)
}

// report prints what failed, on standard error, and returns the exit status.
func (f *failures) report() int {
	for _, text := range f.seen {
		fmt.Fprintln(os.Stderr, text)
	}
	return min(len(f.seen), 1)
}

// TestManyWorkers_ThreadsAndMemory: 12,000 live children in one process.
func TestManyWorkers_ThreadsAndMemory(t *testing.T) {
	const children = 12_000
	if testing.Short() || testutil.Slow() > 1 {
		t.Skip("starts 12,000 processes")
	}
	if err := directParks(); err != nil {
		t.Skip("one thread per worker here: ", err)
	}
	needChildren(t, children)
	if free := memAvailable(t); free < children*200<<10 {
		t.Skipf("%d bytes of memory available, 200 KiB for each child needed", free)
	}
	c := exec.Command(testutil.Exe(), itoa(children), testutil.TinyPause(t))
	c.Env = testutil.HelperEnv(helperMany)
	c.Stderr = os.Stderr
	out, err := c.Output()
	var got held
	if _, scanErr := fmt.Sscan(string(out), &got.threads, &got.bytesPerChild); err != nil || scanErr != nil {
		t.Fatalf("%v, %v: %q", err, scanErr, out)
	}
	t.Logf("%d threads, %d bytes for each child", got.threads, got.bytesPerChild)
	if got.threads > 32 {
		t.Errorf("%d threads, want at most 32", got.threads)
	}
	if limit := 8 << 10; !raceEnabled && got.bytesPerChild >= limit {
		t.Errorf("%d bytes of the caller's memory for each child, want less than %d", got.bytesPerChild, limit)
	}
}
