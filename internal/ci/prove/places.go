// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/seed-cb702d51/tfork-go/internal/ci/debian"
	"github.com/seed-cb702d51/tfork-go/internal/ci/plan"
	"github.com/seed-cb702d51/tfork-go/internal/ci/suite"
)

// settle is how long processes that a suite leaves behind may take to leave: a
// waiter ends after its caller, not before.
const settle = 10 * time.Second

// visit is one place to go to: its name, and how to get its results.
type visit struct {
	name string
	do   func(ctx context.Context, p *suite.Place) error
}

// tour goes to every place whose name the user did not exclude, three at a time.
// An error of a visit is that place's trouble, and does not keep others from
// being seen.
func (j *job) tour(ctx context.Context, visits []visit) []suite.Place {
	j.say("what they print is in %s", filepath.Join(j.cacheDir, "logs"))
	var wg sync.WaitGroup
	slots := make(chan struct{}, 3)
	places := make([]suite.Place, 0, len(visits))
	for _, v := range visits {
		if j.place.MatchString(v.name) {
			places = append(places, suite.Place{Name: v.name})
		}
	}
	// Pointers into places stay valid: it does not grow any more.
	for i := range places {
		p := &places[i]
		for _, v := range visits {
			if v.name != p.Name {
				continue
			}
			slots <- struct{}{}
			wg.Go(func() {
				defer func() { <-slots }()
				j.visit(ctx, v, p)
			})
		}
	}
	wg.Wait()
	return places
}

// visit goes to one place. What cannot be had there is a skip, with its reason.
func (j *job) visit(ctx context.Context, v visit, p *suite.Place) {
	began := time.Now()
	err := v.do(ctx, p)
	p.Took = time.Since(began)
	word := "ok"
	switch {
	case errors.Is(err, debian.ErrUnavailable):
		p.Missing, word = err.Error(), "skipped"
	case err != nil:
		p.Trouble, word = err.Error(), "TROUBLE"
	case !p.OK():
		word = "FAIL"
	}
	j.say("%s %s: %s in %v", j.kind, p.Name, word, p.Took.Round(100*time.Millisecond))
}

// collect returns a collector whose log is in the cache folder, and what closes
// that.
func (j *job) collect(place string, runs []plan.Run) (c *suite.Collector, done func(), err error) {
	dir := filepath.Join(j.cacheDir, "logs")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, nil, err
	}
	log, err := os.Create(filepath.Join(dir, j.kind+"-"+place+".txt"))
	if err != nil {
		return nil, nil, err
	}
	c = suite.NewCollector(runs)
	c.Log = log
	return c, func() { log.Close() }, nil
}

// take moves what was collected into the place, and holds the probes' answers
// against the documents. This machine's own kernel is not in them.
func (j *job) take(at *suite.Place, results *suite.Collector) (err error) {
	at.Release = results.Release
	if at.Results, err = results.Results(); err != nil {
		return err
	}
	for _, r := range at.Results {
		if r.Suite != plan.Probes || r.Verdict != suite.Pass {
			continue
		}
		// Both users must get the same answers; the table shows one.
		at.Answers = r.Answers
		if at.Name == bare {
			continue
		}
		for _, d := range j.documented.Differences(at.Name, at.Release, j.nature, r.Answers) {
			at.Differences = append(at.Differences, "as "+r.User+": "+d)
		}
	}
	return nil
}

// writePlan writes a plan where the runner reads it.
func writePlan(path string, p plan.Plan) error {
	b, err := json.Marshal(p)
	if err != nil {
		return err
	}
	return os.WriteFile(path, b, 0o644)
}
