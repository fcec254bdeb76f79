// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package prefork

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
)

// A program registers its services before tfork.Dispatch; here TestMain does.
var helloService = testService(Service{
	Name:   "hello",
	Listen: []string{"tcp:127.0.0.1:0"},
	Serve: func(ctx context.Context, t *Task) error {
		mux := http.NewServeMux()
		mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(w, "hello from a %s of %s", t.Role(), t.Service())
		})
		return ServeHTTP(ctx, t, &http.Server{Handler: mux})
	},
})

// A server with a master, four workers and one service, used once and stopped.
func Example() {
	s, err := New(Options{Services: []string{helloService}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		fmt.Println(err)
		return
	}
	go func() {
		<-s.Ready()
		defer s.Stop()
		resp, err := client.Get("http://" + s.Addrs(helloService)[0].String())
		if err != nil {
			fmt.Println(err)
			return
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		fmt.Println(string(body))
		table, _ := Processes(s.RuntimeDir())
		fmt.Println(len(table), "processes, the last one is", table[len(table)-1].Name)
	}()
	fmt.Println(s.Run(context.Background()))
	// Output:
	// hello from a worker of hello
	// 6 processes, the last one is prefork-worker-hello-3
	// <nil>
}
