// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
	"github.com/seed-cb702d51/tfork-go/pidfd"
	"github.com/seed-cb702d51/tfork-go/prefork"
)

// served is a running "tforkdemo prefork".
type served struct {
	t             *testing.T
	cmd           *exec.Cmd
	bin, log      string
	env           []string
	base, dir     string // of all runtime directories, and its own
	url, tcp, udp string
}

// startDemo starts it, and waits until it tells how to try it.
func startDemo(t *testing.T, args ...string) *served {
	t.Helper()
	return startDemoIn(t, t.TempDir(), args...)
}

// startDemoIn starts it with a place for runtime directories.
func startDemoIn(t *testing.T, base string, args ...string) *served {
	t.Helper()
	return startDemoAs(t, base, func(*exec.Cmd) {}, args...)
}

// startDemoAs starts it in a way of the test's own.
func startDemoAs(t *testing.T, base string, how func(*exec.Cmd), args ...string) *served {
	t.Helper()
	testutil.NeedPeerCredentials(t)
	bin := demoDir(t)
	d := &served{t: t, bin: filepath.Join(bin, "tforkdemo"), base: base, log: filepath.Join(bin, "log")}
	d.env = append(demoEnv(bin), "XDG_RUNTIME_DIR="+base)
	out, err := os.Create(filepath.Join(bin, "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	logFile, err := os.Create(d.log)
	if err != nil {
		t.Fatal(err)
	}
	defer logFile.Close()
	d.cmd = exec.Command(d.bin, append([]string{"prefork"}, args...)...)
	d.cmd.Env, d.cmd.Stdout, d.cmd.Stderr = d.env, out, logFile
	how(d.cmd)
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.end)
	d.poll("it tells how to try it", func() bool { return strings.Contains(testutil.ReadFile(out.Name()), "kill -USR2") })
	text := testutil.ReadFile(out.Name())
	for pattern, field := range map[string]*string{
		`'(http://[^/]*)/'`: &d.url, `TCP:(\S+)`: &d.tcp, `UDP:(\S+)`: &d.udp, `--runtime-dir (\S+)`: &d.dir,
	} {
		m := regexp.MustCompile(pattern).FindStringSubmatch(text)
		if m == nil {
			t.Fatalf("no %s in:\n%s", pattern, text)
		}
		*field = m[1]
	}
	return d
}

// end stops it, if that was not done before.
func (d *served) end() {
	if d.cmd.ProcessState == nil {
		d.cmd.Process.Signal(syscall.SIGTERM)
		d.cmd.Wait()
	}
	if d.t.Failed() {
		d.t.Logf("log:\n%s", testutil.ReadFile(d.log))
	}
}

func (d *served) poll(what string, ok func() bool) {
	d.t.Helper()
	testutil.Poll(d.t, testutil.Scaled(patience), what, ok)
}

// ps runs "tforkdemo ps" without a runtime directory, so that it finds this one.
func (d *served) ps() map[string]prefork.Process {
	d.t.Helper()
	cmd := exec.Command(d.bin, "ps", "--json")
	cmd.Env = d.env
	// Its exit code tells of a process that is just dying, too.
	out, err := cmd.Output()
	var list []prefork.Process
	if jsonErr := json.Unmarshal(out, &list); jsonErr != nil {
		d.t.Fatalf("ps: %v, %v: %s", err, jsonErr, out)
	}
	table := map[string]prefork.Process{}
	for _, p := range list {
		table[p.Name] = p
	}
	return table
}

// get returns the status code, 0 if there was no answer, and the answer.
func (d *served) get(path string) (code int, answer map[string]any) {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: testutil.Scaled(patience)}
	resp, err := client.Get(d.url + path)
	if err != nil {
		return 0, nil
	}
	defer resp.Body.Close()
	json.NewDecoder(resp.Body).Decode(&answer)
	return resp.StatusCode, answer
}

// pid asks the service http for a worker's pid.
func (d *served) pid(path string) int {
	d.t.Helper()
	code, answer := d.get(path)
	pid, _ := answer["pid"].(float64)
	if code != http.StatusOK || pid == 0 {
		d.t.Fatalf("GET %s: %d %v", path, code, answer)
	}
	return int(pid)
}

// replaced waits until another process has the name of old.
func (d *served) replaced(name string, old int) {
	d.t.Helper()
	d.poll("the successor of "+name, func() bool {
		p := d.ps()[name]
		return p.Pid != 0 && p.Pid != old && p.State == prefork.StateReady
	})
}

// stop ends it with SIGTERM: exit code 0, and nothing is left.
func (d *served) stop() {
	d.t.Helper()
	table := d.ps()
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		d.t.Fatal(err)
	}
	if err := d.cmd.Wait(); err != nil {
		d.t.Errorf("after SIGTERM: %v", err)
	}
	for name, p := range table {
		d.poll(name+" is gone", func() bool { return !testutil.Exists(p.Pid) })
	}
	if left, _ := filepath.Glob(filepath.Join(d.base, "*")); len(left) > 0 {
		d.t.Errorf("left behind: %v", left)
	}
}

// TestPrefork_ServesAndReplaces walks through what the printed lines propose.
func TestPrefork_ServesAndReplaces(t *testing.T) {
	for _, strategy := range []string{"direct", "waiter"} {
		t.Run(strategy, func(t *testing.T) {
			if strategy == "direct" {
				testutil.NeedFeature(t, "5.4", pidfd.HaveSet)
			}
			d := startDemo(t, "--children", "2", "--strategy", strategy)
			table := d.ps()
			for _, name := range []string{
				"prefork-supervisor", "prefork-master-http", "prefork-worker-http-0", "prefork-worker-http-1",
				"prefork-master-echo", "prefork-worker-echo-0", "prefork-worker-echo-1",
			} {
				if table[name].Pid == 0 {
					t.Errorf("no %s in %v", name, table)
				}
			}
			if len(table) != 7 {
				t.Errorf("%d processes, want 7: %v", len(table), table)
			}
			_, answer := d.get("/")
			if answer["service"] != "http" || answer["strategy"] != strategy {
				t.Errorf("GET /: %v", answer)
			}
			if code, _ := d.get("/exit?code=1"); code != http.StatusForbidden {
				t.Errorf("GET /exit: %d, want %d", code, http.StatusForbidden)
			}
			for _, name := range []string{"prefork-worker-http-1", "prefork-worker-echo-0", "prefork-master-http"} {
				pid := d.ps()[name].Pid
				if pid <= 0 {
					t.Fatalf("no %s", name) // and 0 would be ourselves
				}
				testutil.Kill(pid, syscall.SIGKILL)
				d.replaced(name, pid)
			}
			d.pid("/sleep?ms=1")
			echoes(t, "tcp", d.tcp)
			echoes(t, "udp", d.udp)
			d.stop()
		})
	}
}

// echoes sends something, again where datagrams may get lost.
func echoes(t *testing.T, network, addr string) {
	t.Helper()
	const text = "does anybody hear me"
	try := func() error {
		c, err := net.Dial(network, addr)
		if err != nil {
			return err
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(testutil.Scaled(time.Second)))
		if _, err := io.WriteString(c, text); err != nil {
			return err
		}
		got := make([]byte, len(text))
		if _, err := io.ReadFull(c, got); err != nil {
			return err
		}
		if string(got) != text {
			return fmt.Errorf("%q came back", got)
		}
		return nil
	}
	var err error
	if !testutil.PollFor(testutil.Scaled(patience), func() bool { err = try(); return err == nil }) {
		t.Errorf("echo by %s: %v", network, err)
	}
}

// TestPrefork_CrashEndpoints ends a worker in every way that is offered.
func TestPrefork_CrashEndpoints(t *testing.T) {
	conf := filepath.Join(t.TempDir(), "demo.toml")
	settings := fmt.Sprintf("children = 9\n[service.http]\nchildren = 8\nheartbeat-timeout = %q\nabort-grace = \"1s\"\n",
		testutil.Scaled(2*time.Second))
	if err := os.WriteFile(conf, []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	const worker = "prefork-worker-http-0"
	// One worker, so that it is known who answers; flags win over the file.
	d := startDemo(t, "--config", conf, "--children", "1", "--backoff-increment", "1ms", "--maximum-backoff", "2ms", "--crash-endpoints")
	if n := len(d.ps()); n != 5 {
		t.Errorf("%d processes, want 5", n)
	}
	for path, outcome := range map[string]string{
		"/exit?code=7": `outcome="exit status 7"`, "/signal?n=11": `outcome="signal 11"`,
	} {
		pid := d.pid("/")
		d.get(path)
		d.replaced(worker, pid)
		if log := testutil.ReadFile(d.log); !strings.Contains(log, outcome) {
			t.Errorf("%s: no %s in the log", path, outcome)
		}
	}
	d.pid("/alloc?mib=1")
	_, answer := d.get("/leave")
	left, _ := answer["left"].(float64)
	if left == 0 || !testutil.Exists(int(left)) {
		t.Errorf("GET /leave: %v", answer)
	}
	hung := d.pid("/hang")
	d.replaced(worker, hung)
	d.poll("what the worker left is gone", func() bool { return !testutil.Alive(int(left)) })
	// 15 is SIGTERM with its default action, which is a person's doing.
	pid := d.pid("/")
	d.get("/signal?n=15")
	d.poll("the worker is gone for good", func() bool { return d.ps()[worker].Pid == 0 && !testutil.Exists(pid) })
	d.stop()
}

// TestPs_Chooses has two servers: ps must be told which one.
func TestPs_Chooses(t *testing.T) {
	d := startDemo(t, "--children", "0")
	dir := filepath.Join(d.base, "tforkdemo-other")
	other := startDemo(t, "--children", "0", "--runtime-dir", dir)
	ps := func(args ...string) (string, int) {
		cmd := exec.Command(d.bin, append([]string{"ps"}, args...)...)
		cmd.Env = d.env
		out, _ := cmd.CombinedOutput()
		return string(out), cmd.ProcessState.ExitCode()
	}
	if out, code := ps(); code != 1 || !strings.Contains(out, dir) || !strings.Contains(out, d.dir) {
		t.Errorf("two servers: exit code %d: %s", code, out)
	}
	if out, code := ps("--runtime-dir", dir); code != 0 || !strings.Contains(out, "│ prefork-master-echo ") {
		t.Errorf("exit code %d: %s", code, out)
	}
	other.end()
	if err := os.RemoveAll(dir); err != nil { // it was given, so it is ours to remove
		t.Fatal(err)
	}
	if out, code := ps(); code != 0 {
		t.Errorf("one server: exit code %d: %s", code, out)
	}
	d.stop()
}
