// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package wire

import "encoding/binary"

// StartedInfo is the payload of [Started].
type StartedInfo struct {
	// Pid is the worker's, as the caller sees it.
	Pid uint32
	// PidFDs is how many pidfds of the worker travel with the message: none,
	// the library's, or the library's and the user's.
	PidFDs uint32
}

// Append writes the whole message.
func (s StartedInfo) Append(b []byte, id uint64) []byte {
	b = Header{Started, id}.Append(b, 8)
	b = binary.LittleEndian.AppendUint32(b, s.Pid)
	return binary.LittleEndian.AppendUint32(b, s.PidFDs)
}

// ParseStarted reads the payload of a [Started] message.
func ParseStarted(payload []byte) (StartedInfo, error) {
	r := reader{b: payload}
	s := StartedInfo{Pid: r.u32(), PidFDs: r.u32()}
	if err := r.done(Started); err != nil {
		return StartedInfo{}, err
	}
	if s.Pid == 0 || s.Pid > 1<<31-1 || s.PidFDs > MaxPidFDs {
		return StartedInfo{}, malformed("started: pid %d, %d pidfds", s.Pid, s.PidFDs)
	}
	return s, nil
}

// Reason says why a request was refused.
type Reason uint32

// The reasons.
const (
	// ByKernel: a system call said no, and Errno is its answer.
	ByKernel Reason = iota + 1
	// Stale: the caller is not what it was when the waiter was started. A new
	// waiter would serve.
	Stale
	// Split: the thread of the caller that started the waiter and the caller's
	// main thread were not alike.
	Split
)

// RefusedInfo is the payload of [Refused].
type RefusedInfo struct {
	// Reason is ByKernel, Stale or Split.
	Reason Reason
	// Errno goes with ByKernel, and is 0 otherwise.
	Errno uint32
}

// Append writes the whole message.
func (f RefusedInfo) Append(b []byte, id uint64) []byte {
	b = Header{Refused, id}.Append(b, 8)
	b = binary.LittleEndian.AppendUint32(b, uint32(f.Reason))
	return binary.LittleEndian.AppendUint32(b, f.Errno)
}

// ParseRefused reads the payload of a [Refused] message.
func ParseRefused(payload []byte) (RefusedInfo, error) {
	r := reader{b: payload}
	f := RefusedInfo{Reason: Reason(r.u32()), Errno: r.u32()}
	if err := r.done(Refused); err != nil {
		return RefusedInfo{}, err
	}
	// A refusal by the kernel without an errno would read as a success.
	if f.Reason < ByKernel || f.Reason > Split || (f.Reason == ByKernel) != (f.Errno != 0) {
		return RefusedInfo{}, malformed("refused: reason %d, errno %d", f.Reason, f.Errno)
	}
	return f, nil
}

// RusageLen is how many numbers a struct rusage has: two times of two numbers
// each, and fourteen counters, in the order of getrusage(2).
const RusageLen = 18

// ExitedInfo is the payload of [Exited].
type ExitedInfo struct {
	// Status is the raw wait status.
	Status uint32
	// Rusage is that of the worker and its waited-for descendants.
	Rusage [RusageLen]int64
}

// Append writes the whole message.
func (e *ExitedInfo) Append(b []byte, id uint64) []byte {
	b = Header{Exited, id}.Append(b, 4+8*RusageLen)
	b = binary.LittleEndian.AppendUint32(b, e.Status)
	for _, v := range e.Rusage {
		b = binary.LittleEndian.AppendUint64(b, uint64(v))
	}
	return b
}

// ParseExited reads the payload of an [Exited] message.
func ParseExited(payload []byte) (*ExitedInfo, error) {
	r := reader{b: payload}
	e := &ExitedInfo{Status: r.u32()}
	for i := range e.Rusage {
		e.Rusage[i] = int64(r.u64())
	}
	if err := r.done(Exited); err != nil {
		return nil, err
	}
	return e, nil
}

// SignalInfo is the payload of [Signal].
type SignalInfo struct {
	// Worker is the ID of the request that started the worker.
	Worker uint64
	// Signal is the number, 0 to 64.
	Signal uint32
}

// Append writes the whole message.
func (s SignalInfo) Append(b []byte, id uint64) []byte {
	b = Header{Signal, id}.Append(b, 12)
	b = binary.LittleEndian.AppendUint64(b, s.Worker)
	return binary.LittleEndian.AppendUint32(b, s.Signal)
}

// ParseSignal reads the payload of a [Signal] message.
func ParseSignal(payload []byte) (SignalInfo, error) {
	r := reader{b: payload}
	s := SignalInfo{Worker: r.u64(), Signal: r.u32()}
	if err := r.done(Signal); err != nil {
		return SignalInfo{}, err
	}
	if s.Signal > 64 {
		return SignalInfo{}, malformed("signal %d", s.Signal)
	}
	return s, nil
}

// AppendSignaled writes a whole [Signaled] message: the errno of kill(2), 0
// for success; ESRCH says that the worker's end has been collected.
func AppendSignaled(b []byte, id uint64, errno uint32) []byte {
	b = Header{Signaled, id}.Append(b, 4)
	return binary.LittleEndian.AppendUint32(b, errno)
}

// ParseSignaled reads the payload of a [Signaled] message.
func ParseSignaled(payload []byte) (errno uint32, err error) {
	r := reader{b: payload}
	errno = r.u32()
	if err := r.done(Signaled); err != nil {
		return 0, err
	}
	return errno, nil
}

// AppendReady writes a whole [Ready] message: it says all with its version.
func AppendReady(b []byte) []byte { return Header{Kind: Ready}.Append(b, 0) }

// ParseReady checks the payload of a [Ready] message.
func ParseReady(payload []byte) error {
	r := reader{b: payload}
	return r.done(Ready)
}
