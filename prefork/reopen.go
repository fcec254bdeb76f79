// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package prefork

import "os"

// reopener holds the wish to open the log again and to tell the service. What
// comes of it may take its time, since the service's own code has a part in it:
// no goroutine that has to hear of a stop may wait for that. There is room for
// one wish; more of them before it is obeyed mean the same.
type reopener chan *os.File

func newReopener() reopener { return make(reopener, 1) }

// ask never blocks. f is the file if it was opened already, by somebody who may,
// or nil; it is taken. The newest file counts.
func (r reopener) ask(f *os.File) {
	for {
		select {
		case r <- f:
			return
		case older := <-r:
			if f == nil {
				f = older
			} else if older != nil {
				older.Close()
			}
		}
	}
}

// work obeys the wishes, one after the other, until done is closed.
func (r reopener) work(done <-chan struct{}, obey func(*os.File)) {
	for {
		select {
		case f := <-r:
			obey(f)
		case <-done:
			return
		}
	}
}

// reopen opens the log again and tells the service. f is as for reopener.ask.
func (p *process) reopen(f *os.File) {
	p.reopenLog(f)
	p.task.reopen()
}

// reopenLog tells whether the log is the new one.
func (p *process) reopenLog(f *os.File) bool {
	if err := p.out.reopen(f); err != nil {
		p.log.Error("the old log file stays in use", "error", err)
		return false
	}
	p.log.Info("log opened again")
	return true
}

// reopen opens the log again, here and in all workers, which get the same file:
// as another user they may have no right to open it.
func (m *master) reopen(f *os.File) {
	opened := m.reopenLog(f)
	m.group.Do(func() { reopenAll(m.group, m.out, opened) })
	m.task.reopen()
}

// reopen tells the service.
func (t *Task) reopen() {
	if t.service.Reopen == nil {
		return
	}
	if err := t.service.Reopen(t); err != nil {
		t.log.Error("reopen", "error", err)
	}
}
