// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package prefork

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"
)

// BenchmarkServer compares requests a second, latencies and memory of one
// net/http process (the model "single") with trees of workers:
//
//	go test -run '^$' -bench Server -benchtime 2s ./prefork
//
// The client shares the processors with the server, so on few of them the
// ratios say more than the figures. The module in the folder bench compares with
// others, with a client that takes less.
func BenchmarkServer(b *testing.B) {
	for _, keepAlive := range []bool{true, false} {
		name := fmt.Sprintf("keepalive=%t", keepAlive)
		b.Run(name+"/one process", func(b *testing.B) { benchServer(b, "model = \"single\"", keepAlive) })
		for _, workers := range []int{1, 2, 4} {
			b.Run(fmt.Sprintf("%s/workers=%d", name, workers), func(b *testing.B) {
				benchServer(b, fmt.Sprintf("children = %d", workers), keepAlive)
			})
		}
	}
}

func benchServer(b *testing.B, settings string, keepAlive bool) {
	s := start(b, settings, httpService)
	url := "http://" + s.addrs[httpService][0] + "/sleep?ms=0"
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: !keepAlive, MaxIdleConnsPerHost: 64}}
	defer c.CloseIdleConnections()
	var mu sync.Mutex
	var all []time.Duration
	b.SetParallelism(8)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		var own []time.Duration
		for pb.Next() {
			begin := time.Now()
			resp, err := c.Get(url)
			if err != nil {
				b.Error(err)
				return
			}
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			own = append(own, time.Since(begin))
		}
		mu.Lock()
		all = append(all, own...)
		mu.Unlock()
	})
	b.StopTimer()
	slices.Sort(all)
	b.ReportMetric(float64(len(all))/b.Elapsed().Seconds(), "req/s")
	b.ReportMetric(float64(all[len(all)/2].Microseconds()), "p50-us")
	b.ReportMetric(float64(all[len(all)*99/100].Microseconds()), "p99-us")
	var memory uint64
	for _, p := range s.table() {
		memory += p.Memory
	}
	b.ReportMetric(float64(memory)/(1<<20), "MiB")
}
