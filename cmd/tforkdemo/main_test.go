// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/seed-cb702d51/tfork-go/cmd/tforkdemo/internal/services"
	"github.com/seed-cb702d51/tfork-go/internal/testutil"
	"github.com/seed-cb702d51/tfork-go/tfork"
)

// TestMain plays tforkdemo under its name, and otherwise the roles of that, whose
// processes have other names. Both register the services, each process once.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "tforkdemo" {
		main()
	}
	services.Register()
	tfork.Dispatch()
	testutil.Main(m, nil)
}
