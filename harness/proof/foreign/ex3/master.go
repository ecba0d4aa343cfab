package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// startLimit is what a worker's start may take at least, however short the heartbeat's timeout is.
const startLimit = 5 * time.Second

// child is a worker process as the master knows it. Moments are those of the master's own clock.
type child struct {
	slot                   *slot
	command                *exec.Cmd
	lifeline               io.Closer
	last                   vitals
	born, heard, killAt    time.Duration
	ready, leaving, killed bool
}

type slot struct {
	number         int
	current, next  *child
	reason         string // why next is to replace current
	pause, startAt time.Duration
	restarts       int
	lastRestart    string
}

// master is used by the main goroutine alone. The others send it what to do.
type master struct {
	settings
	program                   string
	listener                  *os.File
	port                      int
	slots                     []*slot
	children                  map[*child]bool
	events                    chan func()
	announced, ending, forced bool
	endAt                     time.Duration
}

func lead(s settings) int {
	// A worker dies with the thread that has started it, so that thread must last.
	runtime.LockOSThread()
	listener, port, err := listen(s)
	if err != nil {
		hint := ""
		if err == syscall.EADDRINUSE {
			hint = fmt.Sprintf("; see who has it: ss -ltnp 'sport = :%d'", s.port)
		}
		fmt.Fprintf(os.Stderr, "cannot listen on %s: %v%s\n", s.at(s.port), err, hint)
		return 1
	}
	m := &master{settings: s, listener: os.NewFile(uintptr(listener), "listener"), port: port,
		children: map[*child]bool{}, events: make(chan func())}
	if m.program, err = os.Executable(); err != nil {
		fmt.Fprintln(os.Stderr, "cannot find the program's own file:", err)
		return 1
	}
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	if !signal.Ignored(syscall.SIGHUP) {
		signal.Notify(signals, syscall.SIGHUP)
	}
	signal.Ignore(syscall.SIGUSR1, syscall.SIGUSR2) // a worker inherits that
	for number := 1; number <= s.workers; number++ {
		m.slots = append(m.slots, &slot{number: number, lastRestart: "none"})
	}
	rounds, reports := time.NewTicker(tick), time.NewTicker(s.reportEvery)
	for !m.ending || len(m.children) > 0 {
		m.look()
		select {
		case number := <-signals:
			m.signalled(number.(syscall.Signal))
		case event := <-m.events:
			event()
		case <-reports.C:
			m.report()
		case <-rounds.C:
		}
	}
	if m.forced {
		return 1
	}
	return 0
}

// at is the host as given, and a port.
func (s settings) at(port int) string {
	if strings.Contains(s.host, ":") {
		return fmt.Sprintf("[%s]:%d", s.host, port)
	}
	return fmt.Sprintf("%s:%d", s.host, port)
}

// listen uses no net.Listener: a worker is to wait in accept() itself, see there.
func listen(s settings) (listener, port int, err error) {
	family := syscall.AF_INET6
	var address syscall.Sockaddr = &syscall.SockaddrInet6{Port: s.port, Addr: s.address.As16()}
	if s.address.Is4() {
		family = syscall.AF_INET
		address = &syscall.SockaddrInet4{Port: s.port, Addr: s.address.As4()}
	}
	kind := syscall.SOCK_STREAM | syscall.SOCK_CLOEXEC
	if listener, err = syscall.Socket(family, kind, 0); err != nil {
		return
	}
	syscall.SetsockoptInt(listener, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)
	syscall.SetsockoptInt(listener, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1)
	wait := syscall.NsecToTimeval(acceptWait.Nanoseconds())
	syscall.SetsockoptTimeval(listener, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &wait)
	if err = syscall.Bind(listener, address); err != nil {
		return
	}
	if err = syscall.Listen(listener, 4096); err != nil {
		return
	}
	bound, err := syscall.Getsockname(listener)
	switch bound := bound.(type) {
	case *syscall.SockaddrInet4:
		port = bound.Port
	case *syscall.SockaddrInet6:
		port = bound.Port
	}
	return
}

// spawn starts a worker. It returns nil if that fails; the slot rests then.
func (m *master) spawn(s *slot) *child {
	c := &child{slot: s, born: clock.now(), command: exec.Command(m.program)}
	heartbeats, end, err := os.Pipe()
	if err == nil {
		c.command.Env = append(os.Environ(), fmt.Sprintf("%s=%d", slotVariable, s.number))
		c.command.Stdout, c.command.Stderr = os.Stdout, os.Stderr
		c.command.ExtraFiles = []*os.File{m.listener, end}
		c.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if c.lifeline, err = c.command.StdinPipe(); err == nil {
			err = c.command.Start()
		}
		end.Close()
	}
	if err != nil {
		log("cannot start worker %d: %v", s.number, err)
		heartbeats.Close()
		m.rest(s, c)
		return nil
	}
	m.children[c] = true
	note("spawn", fields{"peer": s.number, "child": c.command.Process.Pid})
	go func() {
		for lines := bufio.NewScanner(heartbeats); lines.Scan(); {
			line := append([]byte(nil), lines.Bytes()...)
			m.events <- func() { m.heard(c, line) }
		}
		heartbeats.Close()
	}()
	go func() {
		c.command.Wait()
		m.events <- func() { m.exited(c) }
	}()
	return c
}

// rest lets a slot wait before its next start: longer each time while its workers die young.
func (m *master) rest(s *slot, dead *child) {
	now := clock.now()
	switch {
	case now-dead.born >= time.Second:
		s.pause = 0
	case s.pause == 0:
		s.pause = 100 * time.Millisecond
	case s.pause*2 < 5*time.Second:
		s.pause *= 2
	default:
		s.pause = 5 * time.Second
	}
	s.startAt = now + s.pause
	time.AfterFunc(s.pause, func() { m.events <- m.look })
}

func (m *master) heard(c *child, line []byte) {
	if json.Unmarshal(line, &c.last) != nil {
		return
	}
	note("recv", fields{"type": "heartbeat", "peer": c.slot.number, "bytes": len(line) + 1})
	c.heard, c.ready = clock.now(), true
	for _, s := range m.slots {
		if s.current == nil || !s.current.ready {
			return
		}
	}
	if !m.announced && !m.ending {
		m.announced = true
		say(fmt.Sprintf("ready url=http://%s workers=%d pid=%d", m.at(m.port), m.workers,
			os.Getpid()))
	}
}

func (m *master) exited(c *child) {
	delete(m.children, c)
	status, s := c.command.ProcessState.Sys().(syscall.WaitStatus), c.slot
	entry := fields{"peer": s.number, "child": c.command.Process.Pid}
	if status.Signaled() {
		entry["signal"] = int(status.Signal())
	} else {
		entry["status"] = status.ExitStatus()
	}
	note("exit", entry)
	log("worker %d pid %d has ended: %v", s.number, c.command.Process.Pid, c.command.ProcessState)
	switch {
	case m.ending:
		m.forced = m.forced || c.ready && !c.killed && status != 0
	case c == s.next:
		s.next = nil
		m.rest(s, c)
	case c == s.current:
		// If it was sick its successor is on the way, and no other one is needed.
		s.current, s.next = s.next, nil
		s.restarts, s.lastRestart = s.restarts+1, "crash"
		m.rest(s, c)
	}
}

func (m *master) signalled(number syscall.Signal) {
	log("got signal %v", number)
	note("signal", fields{"signal": int(number)})
	if m.ending {
		if number != syscall.SIGHUP {
			m.force()
		}
		return
	}
	m.ending, m.endAt = true, clock.now()+m.shutdown
	m.listener.Close()
	for c := range m.children {
		c.lifeline.Close()
		if !c.ready { // perhaps it never looks at its lifeline
			c.command.Process.Signal(syscall.SIGTERM)
		}
	}
}

func (m *master) force() {
	for c := range m.children {
		m.forced = true
		m.kill(c, "the end is forced")
	}
}

func (m *master) kill(c *child, why string) {
	if !c.killed {
		log("killing worker %d pid %d: %s", c.slot.number, c.command.Process.Pid, why)
		c.killed = true
		c.command.Process.Kill()
	}
}

// look does what is due. It waits for nothing, and comes again after each event and at each tick.
func (m *master) look() {
	now := clock.now()
	if m.ending {
		if now >= m.endAt {
			m.force()
		}
		return
	}
	for c := range m.children {
		switch {
		case !c.ready && now-c.born > startLimit && now-c.born > m.timeout:
			m.kill(c, "it does not become ready")
		case c.leaving && (now > c.killAt || m.silent(c, now)):
			m.kill(c, "it is stuck")
		}
	}
	for _, s := range m.slots {
		switch {
		case s.next != nil && s.next.ready:
			old := s.current
			s.current, s.next = s.next, nil
			s.restarts, s.lastRestart = s.restarts+1, s.reason
			old.leaving, old.killAt = true, now+m.shutdown
			old.command.Process.Signal(syscall.SIGTERM)
		case s.next != nil || now < s.startAt:
		case s.current == nil:
			s.current = m.spawn(s)
		default:
			if reason := m.diagnose(s.current, now); reason != "" {
				log("worker %d is unhealthy: reason=%s pid=%d %s", s.number, reason,
					s.current.command.Process.Pid, s.current.figures(now))
				s.reason, s.next = reason, m.spawn(s)
			}
		}
	}
}

func (m *master) silent(c *child, now time.Duration) bool {
	return c.ready && now-c.heard > m.timeout
}

// diagnose says why a worker has to be replaced, or nothing.
func (m *master) diagnose(c *child, now time.Duration) string {
	switch {
	case m.silent(c, now):
		return "silent"
	// Under a limit that is too low for any worker, one an interval is replaced.
	case c.last.MemoryBytes > int64(m.memoryLimit)*mebibyte && now-c.born > m.interval:
		return "memory"
	case c.last.Requests > m.errorLeast && c.last.ErrorRate > float64(m.errorLimit):
		return "errors"
	}
	return ""
}

func (c *child) figures(now time.Duration) string {
	age := now - c.heard
	if !c.ready {
		age = now - c.born
	}
	return fmt.Sprintf("memoryMb=%.1f requests=%d errors=%d errorRate=%.1f uptime=%.1f "+
		"heartbeatAge=%.2f", float64(c.last.MemoryBytes)/mebibyte, c.last.Requests, c.last.Errors,
		c.last.ErrorRate, c.last.Uptime, age.Seconds())
}

func (m *master) report() {
	now, healthy := clock.now(), 0
	var rows []string
	for _, s := range m.slots {
		c, status, pid := s.current, "starting", 0
		if c == nil {
			c = &child{born: now}
		} else {
			pid = c.command.Process.Pid
		}
		if m.diagnose(c, now) != "" {
			status = "unhealthy"
		} else if c.ready {
			status = "healthy"
			healthy++
		}
		rows = append(rows, fmt.Sprintf("worker=%d pid=%d status=%s %s restarts=%d lastRestart=%s",
			s.number, pid, status, c.figures(now), s.restarts, s.lastRestart))
	}
	say(fmt.Sprintf("health report workers=%d healthy=%d", m.workers, healthy))
	for _, row := range rows {
		say(row)
	}
}
