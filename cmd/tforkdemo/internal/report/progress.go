// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
)

// Progress shows on a terminal how far a batch is, and keeps messages and the
// bar apart. Without a terminal it only passes messages on. Many goroutines may
// use it at once.
type Progress struct {
	mu  sync.Mutex
	w   io.Writer
	bar *progressbar.ProgressBar // nil: none
}

// NewProgress writes to w. total is how many children there will be, -1 if that
// is not known; terminal tells whether to show a bar at all.
func NewProgress(w io.Writer, total int, terminal bool) *Progress {
	p := &Progress{w: w}
	if terminal && total != 0 {
		p.bar = progressbar.NewOptions(total,
			progressbar.OptionSetWriter(w),
			progressbar.OptionSetDescription("running"),
			progressbar.OptionSetWidth(30),
			progressbar.OptionShowCount(),
			progressbar.OptionThrottle(50*time.Millisecond),
			progressbar.OptionClearOnFinish(),
			progressbar.OptionSetRenderBlankState(true),
			// No goroutine that turns a spinner: results move it.
			progressbar.OptionSetSpinnerChangeInterval(0),
		)
	}
	return p
}

// Add counts one child that has ended, or was not started.
func (p *Progress) Add() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar != nil {
		p.bar.Add(1) // fails for a count beyond the total only
	}
}

// Printf writes a message above the bar.
func (p *Progress) Printf(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar != nil {
		p.bar.Clear()
	}
	fmt.Fprintf(p.w, format, args...)
}

// Close takes the bar away.
func (p *Progress) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar != nil {
		p.bar.Clear()
		p.bar.Exit()
		p.bar = nil
	}
}
