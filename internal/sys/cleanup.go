// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package sys

// Cleanup undoes what was done so far, last first, unless it is disarmed. The
// zero value is ready.
//
//	var undo sys.Cleanup
//	defer undo.Run()
//	...
//	undo.Add(func() { unix.Close(fd) })
//	...
//	undo.Disarm() // success: keep everything
type Cleanup struct{ steps []func() }

// Add puts a step on the stack.
func (c *Cleanup) Add(step func()) { c.steps = append(c.steps, step) }

// Disarm forgets all steps: what was made is kept.
func (c *Cleanup) Disarm() { c.steps = nil }

// Run does the steps, last first, once.
func (c *Cleanup) Run() {
	for len(c.steps) > 0 {
		last := len(c.steps) - 1
		step := c.steps[last]
		c.steps = c.steps[:last]
		step()
	}
}
