// Command pause holds the namespaces of a pod while its containers come and go.
//
// It is process 1 of its pod, so it must do two things that the kernel does not do for it: leave
// when asked (a process 1 without a handler ignores SIGTERM, and the pod would hang Terminating),
// and reap the orphans that a container with a shared process namespace leaves behind.
package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGCHLD)
	for received := range signals {
		if received != syscall.SIGCHLD {
			return
		}
		reapOrphans()
	}
}

// reapOrphans collects every child that has exited: one SIGCHLD may stand for several.
func reapOrphans() {
	for {
		pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
		if err == syscall.EINTR {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
	}
}
