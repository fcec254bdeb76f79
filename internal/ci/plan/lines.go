// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"bytes"
	"io"
)

// Lines calls f for each line of r, without the line's end, until r
// ends. The line is valid during the call only.
func Lines(r io.Reader, f func([]byte)) {
	var rest []byte
	buf := make([]byte, 64<<10)
	for {
		n, err := r.Read(buf)
		rest = append(rest, buf[:n]...)
		for {
			one, more, ok := bytes.Cut(rest, []byte{'\n'})
			if !ok {
				break
			}
			f(bytes.TrimRight(one, "\r"))
			rest = more
		}
		if err != nil {
			return
		}
	}
}
