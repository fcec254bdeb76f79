// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package services

import (
	"os"

	"github.com/seed-cb702d51/tfork-go/prefork"
)

// Names of the services, in the order of their start.
const (
	HTTP = "http"
	Echo = "echo"
)

// crashKey tells the workers that the crash endpoints are allowed. They are
// executed anew, so that an environment variable is the way to them.
const crashKey = "TFORKDEMO_CRASH_ENDPOINTS"

// Register makes the services known. It belongs before tfork.Dispatch.
func Register() {
	h := &httpService{}
	prefork.Register(prefork.Service{
		Name: HTTP, Listen: []string{"tcp:127.0.0.1:0"}, Serve: h.serve, Check: h.check,
	})
	prefork.Register(prefork.Service{
		Name: Echo, Listen: []string{"tcp:127.0.0.1:0", "udp:127.0.0.1:0"}, Serve: serveEcho,
	})
}

// AllowCrashes says whether the processes that are started from now on have the
// crash endpoints. What the environment said before does not count: nobody
// should get them by accident.
func AllowCrashes(allowed bool) error {
	if !allowed {
		return os.Unsetenv(crashKey)
	}
	return os.Setenv(crashKey, "1")
}
