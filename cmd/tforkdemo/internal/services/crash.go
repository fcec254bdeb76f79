// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package services

import (
	"net/http"
	"os"
	"os/exec"
	"time"
)

// exit ends the worker on the spot, in the middle of this very request.
func exit(_ http.ResponseWriter, _ *http.Request, code int) { os.Exit(code) }

// signal ends the worker by that very signal, if its default action ends a
// process. Otherwise there is somebody left to say so.
func signal(w http.ResponseWriter, r *http.Request, n int) {
	if err := raise(n); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	// A signal to a process may reach it a little after kill(2) returned.
	select {
	case <-time.After(time.Second):
	case <-r.Context().Done():
	}
	answer(w, map[string]any{"survived": n, "pid": os.Getpid()})
}

// hang stops the signs of life: the master notices after heartbeat-timeout.
func (h *httpService) hang(w http.ResponseWriter, _ *http.Request) {
	h.hung.Store(true)
	answer(w, map[string]any{"hung": true, "pid": os.Getpid()})
}

// alloc takes memory for good. It is written to: what is only reserved does not
// count for max-memory.
func (h *httpService) alloc(w http.ResponseWriter, _ *http.Request, mib int) {
	block := make([]byte, mib<<20)
	for i := 0; i < len(block); i += 4096 {
		block[i] = 1
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.kept = append(h.kept, block)
	total := 0
	for _, b := range h.kept {
		total += len(b) >> 20
	}
	answer(w, map[string]int{"kept_mib": total, "pid": os.Getpid()})
}

// leave starts a grandchild that outlives the worker, unless its master ends it.
func leave(w http.ResponseWriter, _ *http.Request) {
	cmd := exec.Command("sleep", "100000")
	if err := cmd.Start(); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	go cmd.Wait() // whoever kills it leaves no zombie
	answer(w, map[string]int{"left": cmd.Process.Pid, "pid": os.Getpid()})
}
