// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package vm

// programs are the host's own: tests start them under titles, and busybox goes
// by the title.
var programs = []string{"/bin/sh", "/bin/cat", "/bin/echo", "/bin/env", "/bin/false", "/bin/sleep", "/bin/true"}

// busyboxLinks are the others that tests may start.
var busyboxLinks = []string{
	"chmod", "cp", "date", "dd", "expr", "grep", "head", "id", "kill",
	"ln", "ls", "mkdir", "mkfifo", "mv", "nice", "nohup", "od", "printenv", "printf", "ps", "pwd", "readlink",
	"rm", "rmdir", "sed", "seq", "setsid", "sort", "stat", "stty", "tail", "tee", "test", "touch", "tr",
	"tty", "ulimit", "uname", "wc", "which", "who", "whoami", "xargs", "yes",
}

// BaseSystem adds what any program may expect of a small system: a shell with
// its usual companions, accounts, and the console. busybox is the path of a
// static busybox, runner that of the first process.
func (a *Archive) BaseSystem(busybox, runner string) {
	a.Copy("/init", runner)
	a.Char("/dev/console", 0o600, 5, 1)
	a.Char("/dev/null", 0o666, 1, 3)
	a.Copy("/bin/busybox", busybox)
	for _, path := range programs {
		a.Program(path)
	}
	for _, name := range busyboxLinks {
		a.Link("/bin/"+name, "busybox")
	}
	for _, dir := range []string{"/sbin", "/usr/bin", "/usr/sbin"} {
		a.Dir(dir, 0o755)
	}
	// As on a machine where both folders are one.
	for _, path := range programs {
		a.Link("/usr"+path, path)
	}
	a.File("/etc/passwd", 0o644, []byte("root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n"))
	a.File("/etc/group", 0o644, []byte("root:x:0:\ntty:x:5:\nnogroup:x:65534:\n"))
	a.File("/etc/hosts", 0o644, []byte("127.0.0.1 localhost matrix\n"))
	a.Dir("/root", 0o700)
}
