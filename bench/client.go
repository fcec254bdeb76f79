// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"
)

// conn is a client's connection: no more of HTTP than these servers need, so
// that the client takes as little of the processors as it can.
type conn struct {
	net.Conn
	in *bufio.Reader
}

// How a request asks for the end of its connection, or not.
var (
	stay  = []byte("GET / HTTP/1.1\r\nHost: bench\r\n\r\n")
	leave = []byte("GET / HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")
)

func dial(address string) (*conn, error) {
	c, err := net.Dial("tcp4", address)
	if err != nil {
		return nil, err
	}
	return &conn{c, bufio.NewReader(c)}, nil
}

// ask makes a request and returns the pid of who answers. It understands no
// chunks: all these servers say how long their answer is.
func (c *conn) ask(request []byte) (pid int, err error) {
	if _, err := c.Write(request); err != nil {
		return 0, err
	}
	length, status := -1, false
	for {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return 0, err
		}
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			break
		}
		if bytes.HasPrefix(line, []byte("HTTP/1.1 200 ")) {
			status = true
		}
		if key, value, ok := bytes.Cut(line, []byte(": ")); ok && bytes.EqualFold(key, []byte("Content-Length")) {
			if length, err = strconv.Atoi(string(value)); err != nil {
				return 0, err
			}
		}
	}
	if !status || length < 0 || length > 100 {
		return 0, errors.New("not the answer of these servers")
	}
	var buf [100]byte
	if _, err := io.ReadFull(c.in, buf[:length]); err != nil {
		return 0, err
	}
	_, err = fmt.Sscanf(string(buf[:length]), "hello from %d", &pid)
	return pid, err
}

// once makes one request on a connection of its own.
func once(address string) (pid int, err error) {
	c, err := dial(address)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	return c.ask(leave)
}

// load is what many clients saw.
type load struct {
	latencies []time.Duration // in ascending order
	took      time.Duration
}

// run lets clients ask for some time, each as fast as it is answered.
func run(address string, clients int, keepAlive bool, d time.Duration) (l load, err error) {
	var mu sync.Mutex
	var all sync.WaitGroup
	begin := time.Now()
	for range clients {
		all.Go(func() {
			own, failed := client(address, keepAlive, begin.Add(d))
			mu.Lock()
			defer mu.Unlock()
			l.latencies = append(l.latencies, own...)
			err = errors.Join(err, failed)
		})
	}
	all.Wait()
	l.took = time.Since(begin)
	slices.Sort(l.latencies)
	return l, err
}

// client asks until the time has come. A latency begins before the connection,
// if there is one for each request.
func client(address string, keepAlive bool, until time.Time) (latencies []time.Duration, err error) {
	var c *conn
	if keepAlive {
		if c, err = dial(address); err != nil {
			return nil, err
		}
		defer c.Close()
	}
	for begin := time.Now(); begin.Before(until); {
		if keepAlive {
			_, err = c.ask(stay)
		} else {
			_, err = once(address)
		}
		if err != nil {
			return latencies, err
		}
		end := time.Now()
		latencies = append(latencies, end.Sub(begin))
		begin = end
	}
	return latencies, nil
}

// at returns the latency that this part of the requests did not exceed.
func (l load) at(part float64) time.Duration {
	if len(l.latencies) == 0 {
		return 0
	}
	return l.latencies[int(part*float64(len(l.latencies)-1))]
}
