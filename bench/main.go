// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/seed-cb702d51/tfork-go/tfork"
)

// serverWord is the first argument of a server process.
const serverWord = "server"

// options are the flags.
type options struct {
	time            time.Duration
	rounds, clients int
	only            string
}

func main() {
	register()
	tfork.Dispatch()
	if len(os.Args) == 5 && os.Args[1] == serverWord {
		exit(server(os.Args[2:]))
	}
	var o options
	flag.DurationVar(&o.time, "time", 1500*time.Millisecond, "`duration` of one measurement")
	flag.IntVar(&o.rounds, "rounds", 5, "measurements of each server, in turns; the best one counts")
	flag.IntVar(&o.clients, "clients", 32, "`number` of clients that ask at the same time")
	flag.StringVar(&o.only, "only", "", "`words` of the servers to measure, with commas between: "+strings.Join(order, ","))
	flag.Parse()
	exit(report(o))
}

// exit ends the process as an error says. Roles end with it too: what they
// would print goes to the standard error of the one that started them.
func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// row is one line of a table.
type row struct {
	kind    string
	workers int
	samples []sample
}

// chosen are the servers that are wanted, each with 1, 2 and 4 workers.
func (o options) chosen() (rows []*row) {
	for _, k := range order {
		if o.only != "" && !slices.Contains(strings.Split(o.only, ","), k) {
			continue
		}
		for _, workers := range []int{1, 2, 4} {
			if workers == 1 || !kinds[k].alone {
				rows = append(rows, &row{kind: k, workers: workers})
			}
		}
	}
	return rows
}

// report measures everything and prints the tables. The rounds of all servers
// are interleaved, so that what else the machine does meets all of them.
func report(o options) error {
	fmt.Printf("%d processors, %s, %d clients, %d rounds of %v, load before %s\n",
		runtime.NumCPU(), runtime.Version(), o.clients, o.rounds, o.time, loadAverage())
	for _, keepAlive := range []bool{true, false} {
		rows := o.chosen()
		for range o.rounds {
			for _, r := range rows {
				s, err := measure(r.kind, r.workers, keepAlive, o)
				if err != nil {
					return fmt.Errorf("%s, %d workers: %w", kinds[r.kind].name, r.workers, err)
				}
				r.samples = append(r.samples, s)
			}
		}
		fmt.Printf("\nkeep-alive %v\n\n| server | workers | requests/s | ratio | p50 | p99 | server's CPU a request | memory |\n|---|---|---|---|---|---|---|---|\n",
			map[bool]string{true: "on", false: "off"}[keepAlive])
		for _, r := range rows {
			r.print(rows[0].best().rate)
		}
	}
	return reportSuccession(o)
}

// best is the round with the highest rate: what else the machine does can only
// make a round worse.
func (r *row) best() sample {
	return slices.MaxFunc(r.samples, func(a, b sample) int { return cmp.Compare(a.rate, b.rate) })
}

func (r *row) print(base float64) {
	m := r.best()
	fmt.Printf("| %s | %d | %.0f | %.2f | %v | %v | %v | %.1f MiB |\n", kinds[r.kind].name, r.workers, m.rate, m.rate/base,
		m.p50.Round(10*time.Microsecond), m.p99.Round(100*time.Microsecond), m.cpu.Round(100*time.Nanosecond), float64(m.memory)/(1<<20))
}

// reportSuccession is the table of the time without a worker. With others that
// serve meanwhile, nobody would notice: connections wait in the queue at most.
func reportSuccession(o options) error {
	fmt.Print("\nfrom the death of the only worker to its successor's first answer\n\n| server | median | worst | ratio |\n|---|---|---|---|\n")
	var base time.Duration
	for _, c := range []struct{ name, kind, env string }{
		{"fasthttp prefork, net/http", "fast-net", "TFORK_STRATEGY=auto"},
		{"tfork-go prefork, net/http, direct", "tfork-net", "TFORK_STRATEGY=direct"},
		{"tfork-go prefork, net/http, waiter", "tfork-net", "TFORK_STRATEGY=waiter"},
	} {
		l, err := succession(c.kind, 6*o.rounds, c.env)
		if err != nil {
			return err
		}
		slices.Sort(l.latencies)
		if base == 0 {
			base = l.at(0.5)
		}
		fmt.Printf("| %s | %v | %v | %.2f |\n", c.name, l.at(0.5).Round(10*time.Microsecond), l.at(1).Round(10*time.Microsecond), float64(l.at(0.5))/float64(base))
	}
	return nil
}

// loadAverage says how busy the machine was before.
func loadAverage() string {
	b, _ := os.ReadFile("/proc/loadavg")
	one, _, _ := strings.Cut(string(b), " ")
	return one
}
