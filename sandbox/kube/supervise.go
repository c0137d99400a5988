package main

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	firstPause  = 100 * time.Millisecond
	longestWait = 10 * time.Second
	steadyAfter = 10 * time.Second // a part that ran this long starts again at once
	lookEvery   = 50 * time.Millisecond
)

// probe only learns whether a part of this node is ready: whom it asks does not matter.
var probe = &http.Client{
	Timeout: time.Second,
	Transport: &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true},
	},
}

// program is one part of the node.
type program struct {
	Name    string            `json:"name"`
	Argv    []string          `json:"argv"`
	Env     map[string]string `json:"env"`
	WaitFor []string          `json:"waitFor"` // tcp:HOST:PORT, unix:PATH, file:PATH or https:URL, all before each start
	Once    bool              `json:"once"`    // not started again after exit code 0
}

// children hands each exit status to whoever started that process, and reaps orphans that nobody waits for.
type children struct {
	sync.Mutex
	waiting map[int]chan syscall.WaitStatus
}

func supervise(programs []program, logs string) {
	family := &children{waiting: map[int]chan syscall.WaitStatus{}}
	for _, part := range programs {
		go part.keep(family, filepath.Join(logs, part.Name+".log"))
	}
	for {
		family.reap()
	}
}

func (c *children) reap() {
	var status syscall.WaitStatus
	pid, err := syscall.Wait4(-1, &status, 0, nil)
	if err != nil { // nothing runs at the moment
		time.Sleep(lookEvery)
		return
	}
	c.Lock()
	defer c.Unlock()
	if waiting, ours := c.waiting[pid]; ours {
		waiting <- status
		delete(c.waiting, pid)
	}
}

// start holds the lock over the fork: the exit of a short-lived process must not be reaped before it is known.
func (c *children) start(part program, log *os.File) (<-chan syscall.WaitStatus, error) {
	c.Lock()
	defer c.Unlock()
	nothing, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	defer nothing.Close()
	process, err := os.StartProcess(part.Argv[0], part.Argv, &os.ProcAttr{
		Env:   part.environment(),
		Files: []*os.File{nothing, log, log},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return nil, err
	}
	ended := make(chan syscall.WaitStatus, 1)
	c.waiting[process.Pid] = ended
	return ended, process.Release()
}

func (p program) environment() []string {
	var all []string
	for name, value := range p.Env {
		all = append(all, name+"="+value)
	}
	return append(all, os.Environ()...) // of two with the same name, programs read the first
}

func (p program) keep(family *children, path string) {
	log, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", p.Name, err)
		return
	}
	defer log.Close()
	for pause := firstPause; ; pause = min(2*pause, longestWait) {
		for _, condition := range p.WaitFor {
			await(condition)
		}
		begun := time.Now()
		code := p.once(family, log)
		if p.Once && code == 0 {
			return
		}
		if time.Since(begun) > steadyAfter {
			pause = firstPause
		}
		fmt.Fprintf(log, "--- %s ended with code %d after %s, starting again in %s\n",
			p.Name, code, time.Since(begun).Round(time.Millisecond), pause)
		time.Sleep(pause)
	}
}

// once answers with the exit code; 128 + number for a signal, 127 if it could not be started.
func (p program) once(family *children, log *os.File) int {
	ended, err := family.start(p, log)
	if err != nil {
		fmt.Fprintf(log, "--- %s: %v\n", p.Name, err)
		return 127
	}
	status := <-ended
	if status.Signaled() {
		return 128 + int(status.Signal())
	}
	return status.ExitStatus()
}

func await(condition string) {
	for !met(condition) {
		time.Sleep(lookEvery)
	}
}

func met(condition string) bool {
	kind, target, _ := strings.Cut(condition, ":")
	switch kind {
	case "file":
		_, err := os.Stat(target)
		return err == nil
	case "https":
		answer, err := probe.Get(condition)
		if err != nil {
			return false
		}
		answer.Body.Close()
		return answer.StatusCode == http.StatusOK
	}
	connection, err := net.DialTimeout(kind, target, time.Second)
	if err != nil {
		return false
	}
	connection.Close()
	return true
}
