// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-cb702d51/tfork-go/cmd/tforkdemo/internal/services"
	"github.com/seed-cb702d51/tfork-go/prefork"
	"github.com/seed-cb702d51/tfork-go/prefork/config"
	"github.com/seed-cb702d51/tfork-go/tfork"
)

// preforkOptions are the flags of prefork. Those that were not given leave the
// configuration as it is.
type preforkOptions struct {
	config             string
	http, echo         string
	children           int
	increment, maximum time.Duration
	runtimeDir         string
	crashes            bool
	strategy           strategyFlag
	given              func(flag string) bool
}

// preforkCommand is "tforkdemo prefork".
func (a *app) preforkCommand() *cobra.Command {
	var o preforkOptions
	cmd := &cobra.Command{
		Use:   "prefork",
		Short: "Serve http and echo with masters and workers",
		Long:  help("prefork"),
		Example: `  tforkdemo prefork
  tforkdemo prefork --http 127.0.0.1:8080 --echo 127.0.0.1:7007 --children 2
  tforkdemo prefork --crash-endpoints --backoff-increment 1s --maximum-backoff 5s
  tforkdemo prefork --config demo.toml --runtime-dir /run/demo`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.given = cmd.Flags().Changed
			conf, err := o.load()
			if err != nil {
				return err
			}
			return exitWith(a.serve(&o, conf))
		},
	}
	d := config.Default()
	f := cmd.Flags()
	f.StringVar(&o.config, "config", "", "read the settings from `FILE` (TOML); flags override it")
	f.StringVar(&o.http, "http", "", "`ADDR`ess of http, HOST:PORT (default a free port of 127.0.0.1)")
	f.StringVar(&o.echo, "echo", "", "`ADDR`ess of echo, for TCP and UDP (default free ports of 127.0.0.1)")
	f.IntVar(&o.children, "children", d.Children, "`N` workers for each service")
	f.DurationVar(&o.increment, "backoff-increment", d.BackoffIncrement, "what each death adds to the delay of a restart")
	f.DurationVar(&o.maximum, "maximum-backoff", d.MaximumBackoff, "the longest delay of a restart")
	f.StringVar(&o.runtimeDir, "runtime-dir", "", "`DIR`ectory for the processes' names (default a temporary one)")
	f.BoolVar(&o.crashes, "crash-endpoints", false, "let http requests end workers and worse")
	f.Var(&o.strategy, "strategy", "how to start: auto, direct or waiter")
	cmd.RegisterFlagCompletionFunc("strategy", completeStrategy) // fails for an unknown flag only
	cmd.MarkFlagFilename("config", "toml")
	cmd.MarkFlagDirname("runtime-dir")
	return cmd
}

// load makes the configuration of the file and the flags. It is called again at
// a reload.
func (o *preforkOptions) load() (config.Config, error) {
	var conf config.Config
	if o.given("config") {
		data, err := os.ReadFile(o.config)
		if err != nil {
			return conf, fmt.Errorf("--config: %w", err)
		}
		if conf, err = config.Parse(data); err != nil {
			return conf, fmt.Errorf("%s:\n%w", o.config, err)
		}
	}
	for name := range conf.Services {
		if name != services.HTTP && name != services.Echo {
			return conf, fmt.Errorf("%s: there is no service %q: valid are %s, %s", o.config, name, services.HTTP, services.Echo)
		}
	}
	if err := o.override(&conf); err != nil {
		return conf, err
	}
	return conf, conf.Check()
}

// override lets the flags that were given win over the file, also over the
// tables of single services.
func (o *preforkOptions) override(conf *config.Config) error {
	if o.given("runtime-dir") {
		if o.runtimeDir == "" {
			return errors.New("--runtime-dir is empty: name a directory")
		}
		conf.RuntimeDir = o.runtimeDir
	}
	http, echo := conf.Of(services.HTTP), conf.Of(services.Echo)
	conf.Services = map[string]*config.Settings{services.HTTP: &http, services.Echo: &echo}
	for _, st := range conf.Services {
		o.overrideSettings(st)
	}
	if err := o.listen(&http, services.HTTP, o.http, "tcp"); err != nil {
		return err
	}
	return o.listen(&echo, services.Echo, o.echo, "tcp", "udp")
}

// overrideSettings does it for what both services have.
func (o *preforkOptions) overrideSettings(st *config.Settings) {
	if o.given("children") {
		st.Children = o.children
	}
	if o.given("backoff-increment") {
		st.BackoffIncrement = o.increment
	}
	if o.given("maximum-backoff") {
		st.MaximumBackoff = o.maximum
	}
}

// listen does it for the address that the flag of a service gives.
func (o *preforkOptions) listen(st *config.Settings, flag, addr string, networks ...string) error {
	if !o.given(flag) {
		return nil
	}
	if _, _, err := net.SplitHostPort(addr); err != nil {
		return fmt.Errorf("--%s is %q: it must be HOST:PORT, as 127.0.0.1:8080, [::1]:8080 or :8080", flag, addr)
	}
	st.Listen = nil
	for _, network := range networks {
		st.Listen = append(st.Listen, network+":"+addr)
	}
	return nil
}

// serve runs the server, and returns the exit code.
func (a *app) serve(o *preforkOptions, conf config.Config) int {
	fail := func(err error) int {
		a.printf("%v", err)
		return exitFailed
	}
	if err := services.AllowCrashes(o.crashes); err != nil {
		return fail(err)
	}
	if conf.RuntimeDir == "" {
		dir, err := makeRuntimeDir()
		if err != nil {
			return fail(err)
		}
		defer os.RemoveAll(dir)
		conf.RuntimeDir = dir
	}
	s, err := prefork.New(prefork.Options{
		Config: conf, Services: []string{services.HTTP, services.Echo},
		Strategy: tfork.Strategy(o.strategy), Reload: o.load,
	})
	if err != nil {
		return fail(err)
	}
	ended := make(chan struct{})
	var told sync.WaitGroup
	told.Go(func() {
		select {
		case <-s.Ready():
			fmt.Fprint(a.stdout, howToTry(s, o.crashes))
		case <-ended:
		}
	})
	err = s.Run(context.Background())
	close(ended)
	told.Wait()
	if err != nil {
		return fail(err)
	}
	return exitOK
}

// howToTry is what a person can type now.
func howToTry(s *prefork.Server, crashes bool) string {
	var lines []string
	say := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	say("Ready. Try, from another terminal:")
	paths := []string{"/", "/sleep?ms=500"}
	if crashes {
		paths = slices.Concat(paths, []string{"/exit?code=1", "/signal?n=11", "/hang", "/alloc?mib=64", "/leave"})
	}
	for _, addr := range s.Addrs(services.HTTP) {
		for _, path := range paths {
			if addr.Network() == "unix" {
				say("  curl --unix-socket %s 'http://localhost%s'", addr, path)
			} else {
				say("  curl 'http://%s%s'", addr, path)
			}
		}
	}
	for _, addr := range s.Addrs(services.Echo) {
		say("  echo hello | socat - %s:%s", strings.ToUpper(addr.Network()), addr)
	}
	say("  tforkdemo ps --runtime-dir %s", s.RuntimeDir())
	say("  kill -KILL PID     # of a worker or a master: look who takes its place")
	say("  kill -USR2 %d   # all processes anew; TERM or Ctrl-C stops", os.Getpid())
	return strings.Join(lines, "\n") + "\n"
}
