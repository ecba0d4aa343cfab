// Exercise 3 in Go, with the standard library alone: a proof that the contract can be kept in any
// language. This file has what master and workers share.
//
// A worker is the same program with its slot in the environment. It has three descriptors: the
// listening socket, a pipe for its heartbeats, of which the first says that it is ready, and a pipe
// as its standard input, on which nothing ever comes. That pipe's end is the end of the cluster.
package main

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

const (
	slotVariable = "EX3_SLOT"
	tick         = 100 * time.Millisecond
	mebibyte     = 1 << 20
)

type fields = map[string]any

var (
	ownSlot, _ = strconv.Atoi(os.Getenv(slotVariable)) // 0: this is the master
	journal    = -1
	clock      = &ownClock{last: time.Now()}
	digits     = regexp.MustCompile(`^[0-9]+$`)
	lines      = make(chan string, 1000)
	flushed    = make(chan struct{})
)

type settings struct {
	host                                     string
	address                                  netip.Addr
	port, workers                            int
	interval, timeout, reportEvery, shutdown time.Duration
	memoryLimit, errorLimit, errorLeast      int
	leak                                     int
}

// environment reads settings, and keeps the complaint about the first one that is not allowed.
type environment struct{ complaint string }

func (e *environment) refuse(name, value, allowed string) {
	if e.complaint == "" {
		e.complaint = fmt.Sprintf("%s=%q is not allowed: %s", name, value, allowed)
	}
}

func (e *environment) whole(name string, usual, low, high int) int {
	text, given := os.LookupEnv(name)
	if !given {
		return usual
	}
	number, err := strconv.Atoi(text)
	if err != nil || !digits.MatchString(text) || number < low || number > high {
		e.refuse(name, text, fmt.Sprintf("a whole number from %d to %d", low, high))
	}
	return number
}

func (e *environment) duration(name string, usual int) time.Duration {
	return time.Duration(e.whole(name, usual, 1, 3_600_000)) * time.Millisecond
}

func (e *environment) settings() settings {
	s := settings{
		host: "127.0.0.1", port: e.whole("PORT", 8000, 0, 65535),
		workers:     e.whole("WORKERS", 3, 1, 64),
		interval:    e.duration("HEARTBEAT_INTERVAL_MS", 3000),
		timeout:     e.duration("HEARTBEAT_TIMEOUT_MS", 10000),
		reportEvery: e.duration("REPORT_INTERVAL_MS", 15000),
		shutdown:    e.duration("SHUTDOWN_TIMEOUT_MS", 10000),
		memoryLimit: e.whole("MEMORY_LIMIT_MB", 100, 1, 1_000_000),
		errorLimit:  e.whole("ERROR_RATE_LIMIT", 20, 1, 100),
		errorLeast:  e.whole("ERROR_RATE_MIN_REQUESTS", 10, 1, 1_000_000),
		leak:        e.whole("LEAK_MB", 10, 1, 1_000_000),
	}
	if s.timeout <= s.interval {
		e.refuse("HEARTBEAT_TIMEOUT_MS", strconv.FormatInt(s.timeout.Milliseconds(), 10),
			"it must be longer than HEARTBEAT_INTERVAL_MS")
	}
	if text, given := os.LookupEnv("HOST"); given {
		s.host = text
	}
	literal, err := s.host, error(nil)
	if literal == "localhost" {
		literal = "127.0.0.1"
	}
	if s.address, err = netip.ParseAddr(literal); err != nil || s.address.Zone() != "" {
		e.refuse("HOST", s.host, "an IPv4 or IPv6 address, or localhost")
	}
	if path, given := os.LookupEnv("JOURNAL"); given {
		// Not blocking: a FIFO that nobody reads is refused, and one that is full holds nothing up.
		flags := syscall.O_WRONLY | syscall.O_APPEND | syscall.O_CREAT | syscall.O_CLOEXEC
		journal, err = syscall.Open(path, flags|syscall.O_NONBLOCK, 0o644)
		if err != nil && ownSlot == 0 { // a later worker rather goes without
			e.refuse("JOURNAL", path, fmt.Sprintf("%v; a file that can be written", err))
		}
	}
	return s
}

// note appends an event to the journal.
func note(event string, more fields) {
	if journal < 0 {
		return
	}
	const monotonic = 1 // as in <time.h>; Go does not tell the figure of its own monotonic clock
	var now syscall.Timespec
	syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, monotonic, uintptr(unsafe.Pointer(&now)), 0)
	entry := fields{"t": float64(now.Nano()) / 1e9, "role": "worker", "worker": ownSlot,
		"pid": os.Getpid(), "event": event}
	if ownSlot == 0 {
		entry["role"] = "master"
	}
	for key, value := range more {
		entry[key] = value
	}
	line, _ := json.Marshal(entry)
	syscall.Write(journal, append(line, '\n'))
}

// say writes a line on standard output as it is. If nobody reads that, lines are dropped.
func say(line string) {
	select {
	case lines <- line + "\n":
	default:
	}
}

func log(form string, values ...any) {
	who := "master"
	if ownSlot > 0 {
		who = fmt.Sprintf("worker%d", ownSlot)
	}
	stamp := time.Now().Format("15:04:05.000")
	say(fmt.Sprintf("%s %s[%d] %s", stamp, who, os.Getpid(), fmt.Sprintf(form, values...)))
}

// writeLines alone may be held up by who does not read. It does not use os.Stdout, whose Write ends
// the program when the reader has gone.
func writeLines() {
	for line := range lines {
		if line == "" {
			close(flushed)
		}
		syscall.Write(1, []byte(line))
	}
}

func exit(code int) {
	patience := time.After(200 * time.Millisecond)
	select {
	case lines <- "":
		select {
		case <-flushed:
		case <-patience:
		}
	case <-patience:
	}
	os.Exit(code)
}

// ownClock stands still while the process is stopped, so that nobody is judged by that time. What
// it is asked for is at most a tick old in a process that runs: a longer step was a stop.
type ownClock struct {
	mutex sync.Mutex
	last  time.Time
	sum   time.Duration
}

func (c *ownClock) now() time.Duration {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	now := time.Now()
	step := now.Sub(c.last)
	if step > 4*tick {
		step = tick
	}
	c.last, c.sum = now, c.sum+step
	return c.sum
}

func (c *ownClock) run() {
	for range time.Tick(tick) {
		c.now()
	}
}

func main() {
	// What is opened later must not get the number of a standard descriptor that was closed.
	for number := 0; number >= 0 && number <= 2; {
		number, _ = syscall.Open("/dev/null", syscall.O_RDWR|syscall.O_CLOEXEC, 0)
		if number > 2 {
			syscall.Close(number)
		}
	}
	// Two also where there is one processor, because one may be held by a call of accept().
	runtime.GOMAXPROCS(2)
	var given environment
	s := given.settings()
	if given.complaint != "" {
		fmt.Fprintln(os.Stderr, given.complaint)
		os.Exit(2)
	}
	go writeLines()
	go clock.run()
	if ownSlot > 0 {
		exit(work(s))
	}
	exit(lead(s))
}
