// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package prefork

import (
	"log/slog"
	"testing"
	"time"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
	"github.com/seed-cb702d51/tfork-go/prefork/internal/message"
	"github.com/seed-cb702d51/tfork-go/prefork/internal/supervise"
	"github.com/seed-cb702d51/tfork-go/tfork"
)

// onlyChild is the owner of a group with one process, which it does not start.
type onlyChild struct {
	child   *child
	ended   chan struct{}
	outcome string
}

func (o *onlyChild) Start(a supervise.Spawn) (supervise.Process, error) {
	o.child.order.inc = a.Inc
	go o.child.receive()
	go o.child.await()
	return o.child, nil
}
func (o *onlyChild) Promote(int, supervise.Process) {}
func (o *onlyChild) Notice(a supervise.Action, _ supervise.Process) {
	if e, ok := a.(supervise.Ended); ok {
		o.outcome = e.Outcome.String()
		close(o.ended)
	}
}

// TestChild_EndsAfterItsLastWords, however late they are read: a master says why
// it leaves, and leaves. Nor is its end waited for where somebody else, who was
// started at the wrong moment, holds its end of the channel.
func TestChild_EndsAfterItsLastWords(t *testing.T) {
	ours, theirs, err := newChannel()
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	cmd := tfork.Command(testutil.Tiny(t, 126))
	cmd.SysProcAttr = attributes()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := message.Write(theirs, message.Message{Kind: message.Failed}); err != nil {
			t.Fatal(err)
		}
	}

	o := &onlyChild{ended: make(chan struct{})}
	never := func(int) supervise.Policy { return supervise.Policy{FatalCodes: []int{126}} }
	group := supervise.NewGroup(supervise.New(never, func() float64 { return 0 }), o)
	words := 0
	o.child = &child{
		cmd: cmd, channel: ours, received: make(chan struct{}), log: slog.New(slog.DiscardHandler),
		nursery: &nursery{group: group, other: func(*child, message.Message) {
			select {
			case <-o.ended:
				return // too late for a reason
			case <-time.After(100 * time.Millisecond): // would be long enough
			}
			words++
		}},
	}
	go group.Run(1)
	select {
	case <-o.ended:
		if o.outcome != "exit status 126" || words != 3 {
			t.Errorf("%s after %d messages, want exit status 126 after 3", o.outcome, words)
		}
	case <-time.After(patience):
		t.Fatal("its end was never told")
	}
	group.Post(supervise.Stop{})
	<-group.Done()
}
