// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package testutil

import (
	"os"
	"os/exec"
	"testing"
	"time"
)

func TestMain(m *testing.M) { Main(m, nil) }

var helperExit = Helper("exit 7", func([]string) int { return 7 })

func TestTiny_ExitsWithItsCode(t *testing.T) {
	err := exec.Command(Tiny(t, 42)).Run()
	if ee, ok := err.(*exec.ExitError); !ok || ee.ExitCode() != 42 {
		t.Errorf("tiny program: %v, want exit status 42", err)
	}
}

func TestTinyPause_LivesUntilKilled(t *testing.T) {
	c := exec.Command(TinyPause(t))
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	Poll(t, 10*time.Second, "it sleeps", func() bool { return StateOf(c.Process.Pid) == "S" })
	c.Process.Kill()
	if err := c.Wait(); err == nil || err.Error() != "signal: killed" {
		t.Errorf("ended by itself: %v", err)
	}
}

func TestHelper_RunsInThisBinary(t *testing.T) {
	c := exec.Command(Exe())
	c.Env = HelperEnv(helperExit)
	err := c.Run()
	if ee, ok := err.(*exec.ExitError); !ok || ee.ExitCode() != 7 {
		t.Errorf("helper: %v, want exit status 7", err)
	}
}

func TestCensus_SeesEachKindOfLeak(t *testing.T) {
	before := takeCensus()
	if got := before.leaksWithin(time.Second); got != "" {
		t.Fatalf("a leak where there is none:\n%s", got)
	}
	f, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	if before.leaks(takeCensus()) == "" {
		t.Error("an open descriptor is not seen")
	}
	f.Close()
	c := exec.Command("/bin/sleep", "60")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if before.leaks(takeCensus()) == "" {
		t.Error("a live child is not seen")
	}
	c.Process.Kill()
	Poll(t, 5*time.Second, "child is a zombie", func() bool { return StateOf(c.Process.Pid) == "Z" })
	if before.leaks(takeCensus()) == "" {
		t.Error("a zombie is not seen")
	}
	c.Wait()
	stop := make(chan struct{})
	for range 3 {
		go func() { <-stop }()
	}
	if before.leaks(takeCensus()) == "" {
		t.Error("goroutines are not seen")
	}
	close(stop)
	if got := before.leaksWithin(5 * time.Second); got != "" {
		t.Errorf("still leaking:\n%s", got)
	}
}

func TestThief_StealsFromOSExec(t *testing.T) {
	Thief(t)
	tiny := Tiny(t, 3)
	stolen := 0
	for range 200 {
		if err := exec.Command(tiny).Run(); err != nil && err.Error() == "waitid: no child processes" {
			stolen++
		}
	}
	if stolen == 0 {
		t.Error("the thief took nothing from os/exec: it is no test of anything")
	}
}
