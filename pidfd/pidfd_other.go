// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package pidfd

import (
	"errors"
	"runtime"
	"syscall"

	"github.com/seed-cb702d51/tfork-go/internal/feature"
)

// errElsewhere is why nothing here works on other systems.
var errElsewhere = errors.New("process descriptors are Linux's, this is " + runtime.GOOS)

// lacks is the error of every entry point. No FD can exist here, so what an FD
// would call is never reached.
func lacks(p *feature.Probe) error {
	return &feature.Error{Name: p.Name(), Since: p.Since(), Reason: errElsewhere}
}

func open(int) (*FD, error) { return nil, lacks(openProbe) }

func adopt(int) (*FD, error) { return nil, lacks(waitProbe) }

func sendSignal(int, syscall.Signal) error { return lacks(sendSignalProbe) }

func getFD(int, int) (int, error) { return -1, lacks(getFDProbe) }

func liveInfo(int) (Info, error) { return Info{}, lacks(infoProbe) }

type kernel struct{}

func (*kernel) collect(int) (Exit, error) { return Exit{}, lacks(waitProbe) }

func (*kernel) exitRecord(int) (Record, error) { return Record{}, lacks(exitInfoProbe) }

func absent() error { return feature.Absent(errElsewhere) }

func testOpen() error       { return absent() }
func testSendSignal() error { return absent() }
func testWait() error       { return absent() }
func testClonePidfd() error { return absent() }
func testClone3() error     { return absent() }
func testGetFD() error      { return absent() }
func testIntoCgroup() error { return absent() }
func testNonblock() error   { return absent() }
func testCloseRange() error { return absent() }
func testThread() error     { return absent() }
func testHangup() error     { return absent() }
func testInfo() error       { return absent() }
func testExitInfo() error   { return absent() }
func testCoredump() error   { return absent() }
func testAutoreap() error   { return absent() }
