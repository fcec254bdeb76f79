// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

// Package tether ties the life of a started program to its caller's.
//
// Promise: after [Tether], a program that is started dies with its caller,
// however that one ends.
//
// It is not for the library: the parent-death signal is tied to the thread
// that starts the program, which only a program of our own can keep
// (runtime.LockOSThread).
//
// Kernel needs: Linux; elsewhere it does nothing.
//
// Descriptors: none.
//
// Concurrency: call it before the command starts.
package tether
