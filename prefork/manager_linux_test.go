// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package prefork

import (
	"testing"

	"github.com/seed-cb702d51/tfork-go/internal/testutil"
)

// TestServer_ManagerThatDoesNotRead costs its time, and stops nobody: not the
// replacement of a worker, and not the end.
func TestServer_ManagerThatDoesNotRead(t *testing.T) {
	path := testutil.Unixgram(t).LocalAddr().String()
	testutil.FillQueue(t, path)
	s := prepare(t, "children = 1\nbackoff-increment = 0")
	s.env = []string{"NOTIFY_SOCKET=" + path}
	s.launch(httpService)
	s.ready()
	old := s.pids()
	s.kill(sigabrt, "master-http")
	s.renewed(old, "master-http", "worker-http-0")
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	s.logged("service manager", "i/o timeout")
}
