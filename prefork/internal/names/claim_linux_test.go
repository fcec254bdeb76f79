// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package names

import "testing"

// TestDir_WhoWasReplacedTakesNoName: a master that has not heard of its successor
// yet starts and replaces workers, whose names are the successor's by now.
func TestDir_WhoWasReplacedTakesNoName(t *testing.T) {
	path := tempDir(t)
	d := open(t, path)
	const master, worker = "prefork-master-echo", "prefork-worker-echo-0"
	old, _ := serve(t, d, master, "old master")
	next, _ := serve(t, d, master+"+2", "new master")
	serve(t, d, worker, "new worker")
	if err := d.Promote(next, master, Place{}); err != nil {
		t.Fatal(err)
	}
	late, err := d.Claim(worker, worker+"+7", Place{master, old})
	if err != nil {
		t.Fatal(err)
	}
	defer late.Close()
	if err := d.Promote(late.ID, worker, Place{master, old}); err != nil {
		t.Error(err)
	}
	if got := d.dir.find(late.ID); got != worker+"+7" {
		t.Errorf("the late one is called %q", got)
	}
	if err := d.Prune(late.ID); err != nil {
		t.Error(err)
	}
	if got := list1(t, path); got[worker] != "new worker" {
		t.Errorf("in the end: %v", got)
	}
}

// TestDir_WhoLeavesKeepsAName: a successor that comes while its predecessor is
// still leaving gets the name, and both can be asked.
func TestDir_WhoLeavesKeepsAName(t *testing.T) {
	path := tempDir(t)
	d := open(t, path)
	const worker = "prefork-worker-echo-0"
	id, _ := serve(t, d, "prefork-master-echo", "master")
	right := Place{"prefork-master-echo", id}
	old, stop := serve(t, d, worker, "old")
	next, err := d.Claim(worker, worker+"+7", right)
	if err != nil {
		t.Fatal(err)
	}
	defer next.Close()
	if got := d.dir.find(next.ID); got != worker {
		t.Errorf("the successor is called %q", got)
	}
	if got := d.dir.find(old); got != worker+"+7" {
		t.Errorf("the predecessor is called %q", got)
	}
	// What is stale is simply replaced.
	next.File.Close()
	stop()
	last, err := d.Claim(worker, worker+"+8", right)
	if err != nil {
		t.Fatal(err)
	}
	defer last.Close()
	if got := d.dir.find(next.ID); got != "" {
		t.Errorf("a stale socket is called %q", got)
	}
}
