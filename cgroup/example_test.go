// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package cgroup_test

import (
	"fmt"

	"github.com/seed-cb702d51/tfork-go/cgroup"
	"github.com/seed-cb702d51/tfork-go/tfork"
)

// A command with limits, in a cgroup of its own that is gone afterwards.
func ExampleRun() {
	cmd := tfork.Command("convert", "a.png", "b.jpg")
	err := cgroup.Run(cmd, cgroup.Options{Limits: cgroup.Limits{
		MemoryMax: 64 * cgroup.MiB,
		OOMGroup:  true,
		PidsMax:   32,
		CPUs:      0.5,
	}})
	switch {
	case cmd.ProcessState == nil:
		fmt.Println(err) // it never ran: no delegation, no controller, no program
	case cmd.ProcessState.Status().OOMKilled():
		fmt.Println("the image needs more than 64 MiB")
	}
}

// A group for several workers. The process makes room in its own cgroup first.
func ExampleCreate() {
	parent, err := cgroup.Delegated()
	if err != nil {
		fmt.Println(err) // says what to do
		return
	}
	defer parent.Close()
	if err := parent.EnterLeaf(); err != nil {
		fmt.Println(err)
		return
	}
	pool, err := cgroup.Create(parent, "pool-*", cgroup.Limits{MemoryMax: cgroup.GiB})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer pool.Close()
	for range 4 {
		cmd := tfork.Command("resize")
		cmd.Cgroup = pool.Dir()
		if err := cmd.Start(); err != nil {
			fmt.Println(err)
		}
	}
}

// A value that the kernel cannot take is told before anything is made.
func ExampleLimits_Check() {
	fmt.Println(cgroup.Limits{CPUWeight: 20000}.Check())
	fmt.Println(cgroup.Limits{CPUSet: "0-3,x"}.Check())
	fmt.Println(cgroup.Limits{MemoryMax: 64 * cgroup.MiB, CPUs: 0.5}.Check())
	// Output:
	// cgroup: limit CPUWeight=20000: must be 1 to 10000
	// cgroup: limit CPUSet="0-3,x": "x" is no number and no range like 0-3
	// <nil>
}

func ExampleParseBytes() {
	for _, s := range []string{"64MiB", "1536K", "max"} {
		n, err := cgroup.ParseBytes(s)
		fmt.Println(int64(n), n, err)
	}
	// Output:
	// 67108864 64MiB <nil>
	// 1572864 1536KiB <nil>
	// 9223372036854775807 max <nil>
}
