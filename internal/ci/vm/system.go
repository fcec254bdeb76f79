// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package vm

// busyboxLinks are the programs that tests may start.
var busyboxLinks = []string{
	"sh", "ash", "cat", "chmod", "cp", "date", "dd", "echo", "env", "expr", "false", "grep", "head", "id", "kill",
	"ln", "ls", "mkdir", "mkfifo", "mv", "nice", "nohup", "od", "printenv", "printf", "ps", "pwd", "readlink",
	"rm", "rmdir", "sed", "seq", "setsid", "sleep", "sort", "stat", "stty", "tail", "tee", "test", "touch", "tr",
	"true", "tty", "ulimit", "uname", "wc", "which", "who", "whoami", "xargs", "yes",
}

// BaseSystem adds what any program may expect of a small system: a shell with
// its usual companions, accounts, and the console. busybox is the path of a
// static busybox, runner that of the first process.
func (a *Archive) BaseSystem(busybox, runner string) {
	a.Copy("/init", runner)
	a.Char("/dev/console", 0o600, 5, 1)
	a.Char("/dev/null", 0o666, 1, 3)
	a.Copy("/bin/busybox", busybox)
	for _, name := range busyboxLinks {
		a.Link("/bin/"+name, "busybox")
	}
	for _, dir := range []string{"/sbin", "/usr/bin", "/usr/sbin"} {
		a.Dir(dir, 0o755)
	}
	// Programs that ask for /usr/bin/env and its like.
	for _, name := range []string{"env", "sleep", "true", "false", "cat", "kill", "printf"} {
		a.Link("/usr/bin/"+name, "/bin/busybox")
	}
	a.File("/etc/passwd", 0o644, []byte("root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n"))
	a.File("/etc/group", 0o644, []byte("root:x:0:\ntty:x:5:\nnogroup:x:65534:\n"))
	a.File("/etc/hosts", 0o644, []byte("127.0.0.1 localhost matrix\n"))
	a.Dir("/root", 0o700)
}
