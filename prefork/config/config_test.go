// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParse_TheWholeTable(t *testing.T) {
	c, err := Parse([]byte(`
runtime-dir = "/run/demo"
model = "single"
log-file = "/var/log/demo"
children = 3
backoff-jitter = 0.5

[service.HTTP]
listen = ["tcp:127.0.0.1:8080", "unix:/run/http.sock"]
reuse-port = true
children = 0
backoff-increment = 2
maximum-backoff = "1m30s"
backoff-reset = "1h"
restart-limit = 5
restart-window = "10s"
fatal-exit-codes = [3, 4]
stop-timeout = "5s"
ready-timeout = 0
heartbeat-timeout = "500ms"
abort-grace = 1
max-requests = 1000
max-age = "24h"
max-memory = "64 MiB"
recycle-jitter = 1
user = "nobody"
group = "65534"
nice = -5
cpus = [0, 1]
rlimit-nofile = 1024
rlimit-core = 0

[service.echo]
`))
	if err != nil {
		t.Fatal(err)
	}
	defaults := Default()
	defaults.Children, defaults.BackoffJitter = 3, 0.5
	http := Settings{
		Listen: []string{"tcp:127.0.0.1:8080", "unix:/run/http.sock"}, ReusePort: true,
		Children: 0, BackoffIncrement: 2 * time.Second, MaximumBackoff: 90 * time.Second, BackoffJitter: 0.5, BackoffReset: time.Hour,
		RestartLimit: 5, RestartWindow: 10 * time.Second, FatalExitCodes: []int{3, 4},
		StopTimeout: 5 * time.Second, HeartbeatTimeout: 500 * time.Millisecond, AbortGrace: time.Second,
		MaxRequests: 1000, MaxAge: 24 * time.Hour, MaxMemory: 64 << 20, RecycleJitter: 1,
		User: "nobody", Group: "65534", Nice: -5, CPUs: []int{0, 1},
		RLimits: map[string]uint64{"nofile": 1024, "core": 0},
	}
	want := Config{
		RuntimeDir: "/run/demo", Model: "single", LogFile: "/var/log/demo", Defaults: &defaults,
		Services: map[string]*Settings{"http": &http, "echo": &defaults},
	}
	if diff := cmp.Diff(want, c); diff != "" {
		t.Error(diff)
	}
}

func TestParse_TheReferencesSpelling(t *testing.T) {
	c, err := Parse([]byte(`
"prefork children" = 5
"Prefork Backoff Increment" = 7
"prefork children:LDAP" = 8
"preforkmaximumbackoff: ldap" = 9
prefork_children = 6
`))
	if err == nil || !strings.Contains(err.Error(), "given twice") {
		t.Errorf("two spellings of one key: %v", err)
	}
	c, err = Parse([]byte(`
"prefork children" = 5
"Prefork Backoff Increment" = 7
"prefork children:LDAP" = 8
"preforkmaximumbackoff: ldap" = 9
`))
	if err != nil {
		t.Fatal(err)
	}
	ldap, other := c.Of("ldap"), c.Of("other")
	if ldap.Children != 8 || ldap.MaximumBackoff != 9*time.Second || ldap.BackoffIncrement != 7*time.Second {
		t.Errorf("ldap: %+v", ldap)
	}
	if other.Children != 5 || other.MaximumBackoff != 120*time.Second {
		t.Errorf("other: %+v", other)
	}
}

func TestParse_Refuses(t *testing.T) {
	tests := []struct{ in, want string }{
		{"childern = 4", "childern: no such key, did you mean children?"},
		{"[service.a]\nback-off-incrment = 1", "service.a.back-off-incrment: no such key, did you mean backoff-increment?"},
		{"xyzzyplugh = 1", "xyzzyplugh: no such key; known are runtime-dir, model"},
		{"children = -1", "children = -1: must be 0 to 10000"},
		{"children = 1000000", "children = 1000000: must be 0 to 10000"},
		{"children = \"4\"", "children = 4: want a whole number"},
		{"children = 1.5", "children = 1.5: want a whole number"},
		{"backoff-increment = -1", "backoff-increment = -1: must be 0s to 720h0m0s"},
		{"backoff-increment = \"-1s\"", "backoff-increment = -1s: must be 0s to 720h0m0s"},
		{"backoff-increment = \"soon\"", "backoff-increment = soon: want a duration like"},
		{"maximum-backoff = 9223372036854775807", "out of range"},
		{"maximum-backoff = 31536000", "maximum-backoff = 31536000: must be 0s to 720h0m0s"},
		{"backoff-jitter = 2.0", "backoff-jitter = 2: must be 0 to 1"},
		{"backoff-jitter = nan", "must be 0 to 1"},
		{"stop-timeout = 0", "stop-timeout = 0: must be 1ns to 720h0m0s"},
		{"fatal-exit-codes = [0]", "fatal-exit-codes = [0]: must be 1 to 255"},
		{"fatal-exit-codes = 3", "want a list"},
		{"max-memory = \"64 potatoes\"", "want a size"},
		{"max-memory = -1", "want a size"},
		{"max-memory = \"99999999TiB\"", "want a size"},
		{"nice = 20", "nice = 20: must be -20 to 19"},
		{"rlimit-nofile = -1", "rlimit-nofile = "},
		{"reuse-port = 1", "reuse-port = 1: want true or false"},
		{"listen = [\"tcp::80\"]", "listen belongs to one service"},
		{"\"children:\" = 3", "children:: the name of a service must follow"},
		{"\"children: \" = 3", "the name of a service must follow"},
		{"heartbeat-timeout = \"1ns\"", "heartbeat-timeout = 1ns: must be 0, which is off, or at least 10ms"},
		{"[service.a]\nmax-age = \"1ms\"", "service.a.max-age = 1ms: must be 0"},
		{"[service.a]\nmodel = \"x\"", "model is for all services together"},
		{"[service.a]\nlisten = [\"80\"]", "want NETWORK:ADDRESS"},
		{"[service.a]\nlisten = [\"tcp:\"]", "the address is missing"},
		{"[service.\"a/b\"]", "a name is letters and digits"},
		{"service = 1", "want tables"},
		{"service.a = 1", "want a table"},
		{"children = ", "line 1, column"},
		{"children = 1\nchildren = 2", "line 2"},
	}
	for _, tt := range tests {
		t.Run(tt.in, func(t *testing.T) {
			c, err := Parse([]byte(tt.in))
			if err == nil {
				t.Fatalf("accepted as %+v", c)
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
		})
	}
}

func TestParse_ReportsAllErrorsTogether(t *testing.T) {
	_, err := Parse([]byte("children = -1\nnice = 99\n[service.a]\nbogus = 1"))
	for _, want := range []string{"children", "nice", "service.a.bogus"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in %v", want, err)
		}
	}
	if e := (*Error)(nil); !errors.As(err, &e) || e.Key != "children" || e.Value != "-1" {
		t.Errorf("errors.As found %+v", e)
	}
}

func TestCheck_HoldsCodeToTheSameLimits(t *testing.T) {
	var zero Config
	if err := zero.Check(); err != nil {
		t.Errorf("the zero value: %v", err)
	}
	bad := Default()
	bad.Children, bad.MaximumBackoff = -1, -time.Second
	bad.RLimits = map[string]uint64{"patience": 1}
	c := Config{Services: map[string]*Settings{"http": &bad}}
	err := c.Check()
	for _, want := range []string{"service.http.children = -1", "service.http.maximum-backoff = -1s", "rlimit-patience"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in %v", want, err)
		}
	}
}

func TestOf_IsACopy(t *testing.T) {
	s := Default()
	s.CPUs = []int{1}
	c := Config{Services: map[string]*Settings{"a": &s}}
	of := c.Of("a")
	of.CPUs[0] = 7
	if s.CPUs[0] != 1 {
		t.Error("Of shares a slice with the configuration")
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"", "children = 4", "[service.http]\nlisten = [\"tcp:127.0.0.1:0\"]\nmax-memory = \"64MiB\"",
		"\"prefork children:ldap\" = 8", "children = -9223372036854775808", "backoff-jitter = nan", "rlimit-core = 0",
		"service.\"\" = {}", "max-memory = \"iB\"", "cpus = [1, [2]]",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Parse(data)
		if err != nil {
			if err.Error() == "" {
				t.Error("an error without a text")
			}
			return
		}
		if err := c.Check(); err != nil {
			t.Errorf("Parse accepts what Check refuses: %v", err)
		}
		for name := range c.Services {
			if s := c.Of(name); s.Children < 0 || s.MaximumBackoff < 0 || s.StopTimeout <= 0 {
				t.Errorf("accepted %+v", s)
			}
		}
	})
}
