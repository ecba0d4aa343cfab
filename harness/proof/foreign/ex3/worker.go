package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

const (
	headLimit, bodyLimit = 16 * 1024, 64 * 1024
	stall                = 5 * time.Second        // for a client to send a request or to take bytes
	grace                = time.Second            // for idle connections to a worker that leaves
	linger               = time.Second            // for a client to read the last answer
	acceptWait           = 200 * time.Millisecond // after which accept() returns empty-handed
	window               = 100                    // of requests, for the error rate
	emptyLines           = 100                    // before a request
)

var (
	requestLine = regexp.MustCompile(
		`^([!#$%&'*+.^_\x60|~0-9A-Za-z-]+) (?:https?://[!-.0-~]+(/[!-~]*)?|(/[!-~]*|\*)) ` +
			`HTTP/1\.([0-9])$`)
	fieldLine = regexp.MustCompile(
		`^([!#$%&'*+.^_\x60|~0-9A-Za-z-]+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*?)[ \t]*$`)
	hostForm = regexp.MustCompile(
		`^(\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z._~!$&'()*+,;=%-]*)(:[0-9]*)?$`)
	chunkSize = regexp.MustCompile(`^([0-9A-Fa-f]+)([ \t]*;[^\x00-\x08\x0a-\x1f\x7f]*)?$`)
	reasons   = map[int]string{200: "OK", 400: "Bad Request", 404: "Not Found",
		405: "Method Not Allowed", 408: "Request Timeout", 413: "Content Too Large",
		431: "Request Header Fields Too Large", 500: "Internal Server Error"}
)

type vitals struct {
	MemoryBytes int64   `json:"memoryBytes"`
	Requests    int     `json:"requests"`
	Errors      int     `json:"errors"`
	ErrorRate   float64 `json:"errorRate"` // per cent of the last requests
	Uptime      float64 `json:"uptime"`
}

type worker struct {
	settings
	born  time.Time
	statm *os.File // stays open: there may be no descriptor left when it is needed
	done  chan struct{}

	mutex                sync.Mutex // for all below
	conns                map[*conn]bool
	requests, errors     int
	recent               [window]bool // errors among the last requests
	leaving, ending, cut bool
}

func work(s settings) int {
	// A terminal sends these to all processes; the master tells the workers what to do.
	signal.Ignore(syscall.SIGINT, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2)
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGTERM)
	statm, err := os.Open("/proc/self/statm")
	if err != nil {
		log("cannot read the resident set: %v", err)
		return 1
	}
	w := &worker{settings: s, born: time.Now(), statm: statm, done: make(chan struct{}),
		conns: map[*conn]bool{}}
	go w.accept(3)
	note("ready", nil)
	log("ready")
	go w.sendHeartbeats(os.NewFile(4, "heartbeats"))
	end := make(chan struct{})
	go func() {
		io.Copy(io.Discard, os.Stdin)
		close(end)
	}()
	for {
		select {
		case <-asked:
			note("signal", fields{"signal": int(syscall.SIGTERM)})
			w.leave(false)
		case <-end:
			w.leave(true)
			end = nil
		case <-w.done:
			if w.cut {
				return 1
			}
			return 0
		}
	}
}

func (w *worker) sendHeartbeats(master io.Writer) {
	for rounds := time.NewTicker(w.interval); ; <-rounds.C {
		line, _ := json.Marshal(struct {
			Type string `json:"type"`
			vitals
		}{"heartbeat", w.vitals()})
		if _, err := master.Write(append(line, '\n')); err != nil {
			return
		}
		note("send", fields{"type": "heartbeat", "peer": "master", "bytes": len(line) + 1})
	}
}

func (w *worker) vitals() vitals {
	var text [200]byte
	var size, resident int64
	count, _ := w.statm.ReadAt(text[:], 0)
	fmt.Sscan(string(text[:count]), &size, &resident)
	w.mutex.Lock()
	defer w.mutex.Unlock()
	rate, judged := 0.0, w.requests
	if judged > window {
		judged = window
	}
	for _, failed := range w.recent[:judged] {
		if failed {
			rate += 100 / float64(judged)
		}
	}
	return vitals{resident * int64(os.Getpagesize()), w.requests, w.errors, rate,
		time.Since(w.born).Seconds()}
}

// accept waits in the system's accept(), not in Go's poller: there the kernel wakes one process for
// each connection, and in turn, and never one that is stopped. It ends when the worker leaves and
// all connections are gone.
func (w *worker) accept(listener int) {
	var open sync.WaitGroup
	for number := 1; ; {
		w.mutex.Lock()
		leaving := w.leaving
		w.mutex.Unlock()
		if leaving {
			break
		}
		flags := syscall.SOCK_NONBLOCK | syscall.SOCK_CLOEXEC
		socket, _, err := syscall.Accept4(listener, flags)
		if err != nil {
			if err != syscall.EAGAIN && err != syscall.EINTR && err != syscall.ECONNABORTED {
				time.Sleep(tick) // no descriptor is left
			}
			continue
		}
		c := &conn{worker: w, socket: socket, file: os.NewFile(uintptr(socket), ""),
			number: number}
		c.in = bufio.NewReader(c)
		number++
		open.Add(1)
		go func() {
			defer open.Done()
			c.serve()
		}()
		// If many come at once, this worker must not take them all before the others are awake.
		time.Sleep(100 * time.Microsecond)
	}
	syscall.Close(listener)
	open.Wait()
	close(w.done)
}

// leave lets the worker go when its requests are answered. Idle connections are closed: at once if
// the whole cluster ends, else after a while, in which a request may still come.
func (w *worker) leave(ending bool) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.leaving, w.ending = true, w.ending || ending
	for c := range w.conns {
		if c.idle {
			c.limitIdle()
		}
	}
}

func (w *worker) reply(q request) (int, fields) {
	switch q.path {
	case "/", "/health", "/error", "/leak":
	default:
		return 404, fields{"error": "unknown path; there are /, /health, /error and /leak"}
	}
	if q.method != "GET" {
		return 405, fields{"error": "only GET is allowed"}
	}
	switch q.path {
	case "/health":
		v := w.vitals()
		return 200, fields{"uptime": v.Uptime, "memoryBytes": v.MemoryBytes,
			"requests": v.Requests, "errors": v.Errors}
	case "/error":
		return 500, fields{"error": "it always fails; ask for another path"}
	case "/leak":
		// Not on Go's heap, which would let garbage grow with it. The last flag touches all of it.
		_, err := syscall.Mmap(-1, 0, w.leak*mebibyte, syscall.PROT_READ|syscall.PROT_WRITE,
			syscall.MAP_ANON|syscall.MAP_PRIVATE|syscall.MAP_POPULATE)
		if err != nil {
			return 500, fields{"error": fmt.Sprintf("no memory is left to leak: %v", err)}
		}
		return 200, fields{"leakedMb": w.leak}
	}
	return 200, fields{"message": "hello"}
}

// conn is a connection of a client. Its deadline is a moment of the own clock; 0 means none.
type conn struct {
	worker *worker
	file   *os.File
	socket int
	number int
	in     *bufio.Reader

	written         int
	idle            bool // with the next two: guarded by the worker's mutex
	since, deadline time.Duration
}

type request struct {
	method, path string
	last         bool // the client wants the connection closed
}

// refusal is an answer to what is no request.
type refusal struct {
	status int
	why    string
}

func (r refusal) Error() string { return r.why }

// Read goes on when its deadline has passed while the process was stopped.
func (c *conn) Read(p []byte) (int, error) {
	for {
		count, err := c.file.Read(p)
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return count, err
		}
		c.worker.mutex.Lock()
		passed := c.deadline <= clock.now()
		if !passed {
			c.limit(c.deadline)
		}
		c.worker.mutex.Unlock()
		if passed {
			return count, err
		}
	}
}

// write fails when the client has taken nothing for a while.
func (c *conn) write(data []byte) error {
	taken, until := c.taken(), clock.now()+stall
	for {
		c.file.SetWriteDeadline(time.Now().Add(until - clock.now()))
		count, err := c.file.Write(data)
		data, c.written = data[count:], c.written+count
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
		if now := c.taken(); now > taken {
			taken, until = now, clock.now()+stall
		} else if clock.now() >= until {
			c.wasCut()
			return err
		}
	}
}

// taken is how many bytes have reached the client's side: room in the own buffer is no sign of it.
func (c *conn) taken() int {
	var queued int32
	syscall.Syscall(syscall.SYS_IOCTL, uintptr(c.socket), syscall.TIOCOUTQ,
		uintptr(unsafe.Pointer(&queued)))
	return c.written - int(queued)
}

func (c *conn) limit(deadline time.Duration) {
	c.deadline = deadline
	c.file.SetReadDeadline(time.Now().Add(deadline - clock.now()))
}

func (c *conn) limitIdle() {
	switch {
	case c.worker.ending:
		c.limit(clock.now())
	case c.worker.leaving:
		c.limit(c.since + grace)
	default:
		c.deadline = 0
		c.file.SetReadDeadline(time.Time{})
	}
}

// setIdle notes that a request is awaited, or that its first byte is there.
func (c *conn) setIdle(idle bool) {
	c.worker.mutex.Lock()
	defer c.worker.mutex.Unlock()
	c.idle, c.since = idle, clock.now()
	c.worker.conns[c] = true
	if idle {
		c.limitIdle()
	} else {
		c.limit(c.since + stall)
	}
}

func (c *conn) serve() {
	note("open", fields{"conn": c.number})
	defer func() {
		c.worker.mutex.Lock()
		delete(c.worker.conns, c)
		c.worker.mutex.Unlock()
		c.file.Close()
		note("close", fields{"conn": c.number})
	}()
	for empty := 0; empty < emptyLines; {
		c.setIdle(true)
		if _, err := c.in.Peek(1); err != nil {
			return
		}
		c.setIdle(false)
		if start, _ := c.in.Peek(2); string(start) == "\r\n" {
			c.in.Discard(2)
			empty++
			continue
		}
		empty = 0
		q, err := c.read()
		var no refusal
		if errors.Is(err, os.ErrDeadlineExceeded) {
			c.wasCut()
			err = refusal{408, "the request was not complete after 5 s"}
		}
		if err != nil && !errors.As(err, &no) {
			return // the client has gone
		}
		note("request", fields{"method": q.method, "path": q.path, "conn": c.number})
		status, body := no.status, fields{"error": no.why}
		if err == nil {
			status, body = c.worker.reply(q)
		}
		if !c.answer(q, status, body) {
			return
		}
	}
}

// wasCut notes that a request or an answer under way was cut: the end was not a graceful one.
func (c *conn) wasCut() {
	c.worker.mutex.Lock()
	c.worker.cut = c.worker.cut || c.worker.ending
	c.worker.mutex.Unlock()
}

// answer writes an answer, and says whether the connection goes on.
func (c *conn) answer(q request, status int, body fields) bool {
	w := c.worker
	w.mutex.Lock()
	if q.path != "/health" {
		w.recent[w.requests%window] = status >= 500
		w.requests++
		if status >= 500 {
			w.errors++
		}
	}
	last, connection, more := q.last || w.leaving, "keep-alive", ""
	w.mutex.Unlock()
	switch status {
	case 400, 408, 413, 431:
		last = true
	case 405:
		more = "Allow: GET\r\n"
	}
	if last {
		connection = "close"
	}
	body["worker"], body["pid"] = ownSlot, os.Getpid()
	text, _ := json.Marshal(body)
	data := []byte(fmt.Sprintf("HTTP/1.1 %d %s\r\nDate: %s\r\nContent-Type: application/json\r\n"+
		"Content-Length: %d\r\nConnection: %s\r\n%s\r\n", status, reasons[status],
		time.Now().UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT"), len(text), connection, more))
	if q.method != "HEAD" {
		data = append(data, text...)
	}
	if c.write(data) != nil {
		return false
	}
	note("response", fields{"method": q.method, "path": q.path, "status": status, "conn": c.number})
	if last {
		// Read on for a moment: a reset would destroy an answer that the client has not read yet.
		syscall.Shutdown(c.socket, syscall.SHUT_WR)
		w.mutex.Lock()
		c.limit(clock.now() + linger)
		w.mutex.Unlock()
		io.Copy(io.Discard, c.in)
	}
	return !last
}

// read takes the next request, whole. net/http cannot be used: it starts the time at the wrong
// moment, and its own refusals are no JSON.
func (c *conn) read() (q request, err error) {
	left := headLimit
	text, err := c.line(&left)
	if err != nil {
		return
	}
	first := requestLine.FindStringSubmatch(text)
	if first == nil {
		return q, refusal{400, "the first line is not that of an HTTP/1.1 request"}
	}
	q.method = first[1]
	q.path, _, _ = strings.Cut(first[2]+first[3], "?")
	if q.path == "" {
		q.path = "/"
	}
	headers, err := c.headers(&left)
	if err != nil {
		return
	}
	new, host := first[4] != "0", headers["host"]
	if len(host) > 1 || new && len(host) == 0 || len(host) == 1 && !hostForm.MatchString(host[0]) {
		return q, refusal{400, "there must be one Host, a name or address"}
	}
	connection := strings.ToLower(strings.Join(headers["connection"], ","))
	q.last = strings.Contains(connection, "close") ||
		!new && !strings.Contains(connection, "keep-alive")
	coding := strings.ToLower(strings.Join(headers["transfer-encoding"], ","))
	length, sized := strings.Join(headers["content-length"], ","), headers["content-length"] != nil
	if coding != "" && (coding != "chunked" || sized || !new) ||
		sized && !digits.MatchString(length) {
		return q, refusal{400, "the body's length must be a number, or the body in chunks"}
	}
	size, err := strconv.Atoi(length)
	if sized && (err != nil || size > bodyLimit) {
		return q, refusal{413, "the body may have 64 KiB"}
	}
	if new && strings.EqualFold(strings.Join(headers["expect"], ","), "100-continue") {
		if err = c.write([]byte("HTTP/1.1 100 Continue\r\n\r\n")); err != nil {
			return
		}
	}
	if coding != "" {
		return q, c.skipChunks()
	}
	_, err = io.CopyN(io.Discard, c.in, int64(size))
	return q, err
}

// line reads a line, of at most as many bytes as are left.
func (c *conn) line(left *int) (string, error) {
	var text []byte
	for {
		part, err := c.in.ReadSlice('\n')
		text = append(text, part...)
		if *left -= len(part); *left < 0 {
			return "", refusal{431, "the head may have 16 KiB"}
		}
		if err == nil && strings.HasSuffix(string(text), "\r\n") {
			return string(text[:len(text)-2]), nil
		} else if err == nil {
			return "", refusal{400, "a line must end with CR LF"}
		} else if err != bufio.ErrBufferFull {
			return "", err
		}
	}
}

func (c *conn) headers(left *int) (map[string][]string, error) {
	found := map[string][]string{}
	for {
		text, err := c.line(left)
		if err != nil || text == "" {
			return found, err
		}
		field := fieldLine.FindStringSubmatch(text)
		if field == nil {
			return nil, refusal{400, "a header must be a name, a colon and a text"}
		}
		name := strings.ToLower(field[1])
		found[name] = append(found[name], field[2])
	}
}

func (c *conn) skipChunks() error {
	for sum := int64(0); ; {
		left := headLimit
		text, err := c.line(&left)
		if err != nil {
			return err
		}
		chunk := chunkSize.FindStringSubmatch(text)
		if chunk == nil {
			return refusal{400, "a chunk must begin with its size"}
		}
		size, err := strconv.ParseInt(chunk[1], 16, 32)
		if sum += size; err != nil || sum > bodyLimit {
			return refusal{413, "the body may have 64 KiB"}
		}
		if size == 0 {
			_, err = c.headers(&left) // the trailer
			return err
		}
		if _, err = io.CopyN(io.Discard, c.in, size); err != nil {
			return err
		}
		if end, err := c.line(&left); err != nil || end != "" {
			if err == nil {
				err = refusal{400, "a chunk is longer than its size"}
			}
			return err
		}
	}
}
