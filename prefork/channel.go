// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package prefork

import (
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/seed-cb702d51/tfork-go/prefork/internal/message"
)

// sendTimeout bounds a message to a process that does not read, when there is no
// room left for it: it is hung, and the heartbeat deals with it.
const sendTimeout = 100 * time.Millisecond

// channel is one end of the connection between a process and the one that
// supervises it. Each end is held by exactly one process, so its end of file
// means that the other process is gone.
type channel struct {
	conn stream
	mu   sync.Mutex // one writer at a time
	// file came with the message that was read last; it belongs to the reader.
	file *os.File
}

// stream is what a channel needs of its connection.
type stream interface {
	net.Conn
	CloseRead() error
}

// newChannel makes a pair: our end, and the other as a file to hand down.
func newChannel() (*channel, *os.File, error) {
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, nil, err
	}
	c, err := adoptChannel(ours)
	if err != nil {
		theirs.Close()
		return nil, nil, err
	}
	return c, theirs, nil
}

// adoptChannel makes a channel of an inherited end, and closes f.
func adoptChannel(f *os.File) (*channel, error) {
	defer f.Close()
	conn, err := net.FileConn(f)
	if err != nil {
		return nil, fmt.Errorf("prefork: channel: %w", err)
	}
	s, ok := conn.(stream)
	if !ok {
		conn.Close()
		return nil, fmt.Errorf("prefork: channel: not a stream but %T", conn)
	}
	return &channel{conn: s}, nil
}

// send sends a message without a file.
func (c *channel) send(m message.Message) error { return c.sendFile(m, nil) }

// sendFile sends a message with a file that the other end may use, or nil; it is
// lent. A file does not wait: where there is no room, the message goes alone.
// Failing means that the other end is gone or hung, which others notice. That
// this process has no processor for a while is no reason: what fits is sent before
// there is a time limit.
func (c *channel) sendFile(m message.Message, f *os.File) error {
	b, err := message.Append(nil, m)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	b = b[sendNow(c.conn, b, f):]
	if len(b) == 0 {
		return nil
	}
	c.conn.SetWriteDeadline(time.Now().Add(sendTimeout))
	_, err = c.conn.Write(b)
	return err
}

// receive calls f for each message until the other end is gone, or until
// [channel.finish].
func (c *channel) receive(f func(message.Message)) {
	defer c.keep(nil)
	for {
		m, err := message.Read(c)
		if err != nil {
			return
		}
		f(m)
		c.keep(nil)
	}
}

// finish lets receive return after what is there already. The other process has
// ended: its end of file may not come while somebody else holds its end.
func (c *channel) finish() {
	if c.conn.CloseRead() != nil {
		c.close()
	}
}

// keep notes the file that came with a message, and closes one that nobody
// wanted.
func (c *channel) keep(f *os.File) {
	if c.file != nil {
		c.file.Close()
	}
	c.file = f
}

// take gives away the file that came with the message that is being received, or
// nil.
func (c *channel) take() *os.File {
	f := c.file
	c.file = nil
	return f
}

// Read implements io.Reader, for package message.
func (c *channel) Read(b []byte) (int, error) {
	n, f, err := readWithFile(c.conn, b)
	if f != nil {
		c.keep(f)
	}
	return n, err
}

// close lets the other end see that nobody is here any more.
func (c *channel) close() { c.conn.Close() }
