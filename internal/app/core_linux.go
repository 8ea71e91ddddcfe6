package app

import "syscall"

// NoCore keeps the kernel from writing this process's memory to a file or a collector when it crashes: the memory of an agent
// or a processor holds other people's requests. One byte is less than any core file, and the value that collectors of crashes
// are not started for; zero stops files alone.
func NoCore() {
	// Without the right to lower one's own limit there is nothing that could be done better.
	_ = syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{Cur: 1, Max: 1})
}
