// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

// Bench compares ways to serve HTTP with several processes of one program:
// one net/http process, package prefork of tfork-go, and the prefork of
// github.com/valyala/fasthttp, each with net/http and with fasthttp's server.
//
//	go -C bench run .
//
// Promise: every server is the same binary with the same answer, is measured by
// the same client in turns with the others, and is the only one that runs. The
// output is the tables of docs/prefork-bench.md.
//
// It is not a benchmark of HTTP servers: the client shares the processors with
// them. Requests a second say what both together reach, so look at processor
// time for a request as well, which is the server's alone. It is a module of its
// own, so that nobody who uses tfork-go gets fasthttp.
//
// Kernel needs: those of package prefork, and /proc/PID/smaps_rollup (4.14).
//
// Descriptors: a server's standard input is a pipe; its end stops the server.
//
// Concurrency: a program; one goroutine for each client.
package main
