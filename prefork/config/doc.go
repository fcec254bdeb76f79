// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

// Package config is what can be set of a prefork server, and its file.
//
// Promise: every key is checked. A key that is not known is refused by its
// name together with the nearest known one; a value that is negative, absurd
// or of the wrong kind is an error that names key and value; all errors of a
// file are reported together. A [Config] that was built in code is held to the
// same limits by [Config.Check].
//
// A file is TOML. Keys outside a table are the defaults of all services; the
// tables of services override them:
//
//	children = 4                # the reference's three parameters
//	backoff-increment = "10s"
//	maximum-backoff = "120s"
//
//	[service.http]
//	listen = ["tcp:127.0.0.1:8080"]
//	children = 8
//
// Keys are compared without case, blanks, dashes and underscores, and a
// leading "prefork" is ignored, so that the reference's own spelling ("prefork
// backoff increment") works. A whole number where a duration is wanted counts
// seconds, as in the reference. One difference is on purpose: there, garbage
// counts as 0 and negative numbers wrap around.
//
// It is not a general configuration loader: no environment, no includes.
//
// Kernel needs: none.
//
// Descriptors: none.
//
// Concurrency: pure functions; a Config must not be changed while it is used.
package config
