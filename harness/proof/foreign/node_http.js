// HTTP for a worker, on Node's own server: limits and times of the contract, JSON in every answer,
// and a drain that drops no request.
'use strict';

const http = require('http');
const net = require('net');
const { SLOT, after, log, note } = require('./node_base');

const HEAD_LIMIT = 16 * 1024;
const BODY_LIMIT = 64 * 1024;
const STALL_MS = 5000;
const IDLE_MS = 75_000;
const LINGER_MS = 500;
const EMPTY_LINES = 100;
// The contract's second, and some more: the client counts from when it has read the answer.
const UNASKED_MS = 1100;
const LOOK_MS = 100;

const FAULTS = {
  ERR_HTTP_REQUEST_TIMEOUT: [408, `the request was not complete after ${STALL_MS / 1000} s`],
  HPE_HEADER_OVERFLOW: [431, `the head may have ${HEAD_LIMIT} bytes`],
  HPE_CHUNK_EXTENSIONS_OVERFLOW: [413, `the body may have ${BODY_LIMIT} bytes`],
};

function validHost(req) {
  const hosts = req.rawHeaders.filter((name, index) =>
    index % 2 === 0 && name.toLowerCase() === 'host');
  if (hosts.length !== 1) return hosts.length === 0 && req.httpVersion === '1.0';
  const [, literal] = /^\[([^\]]*)\](?::\d*)?$/.exec(req.headers.host) ?? [];
  return literal !== undefined ? net.isIPv6(literal)
    : /^(?:[\w.~!$&'()*+,;=-]|%[0-9a-fA-F]{2})*(?::\d*)?$/.test(req.headers.host);
}

// Why a request whose head was read is refused: status and reason; undefined if it is not.
function refusal(req) {
  // Node counts names and values only: many short headers would pass.
  const lines = req.rawHeaders.reduce((sum, text) => sum + text.length + 2, 0);
  if (req.method.length + req.url.length + 14 + lines > HEAD_LIMIT) {
    return FAULTS.HPE_HEADER_OVERFLOW;
  }
  if (Number(req.headers['content-length'] ?? 0) > BODY_LIMIT) {
    return FAULTS.HPE_CHUNK_EXTENSIONS_OVERFLOW;
  }
  return validHost(req) ? undefined : [400, 'one header Host is wanted, with a host in it'];
}

// How many whole requests without an answer there are.
function owed(socket) {
  return [...socket.open].filter((req) => req.complete).length;
}

function pathOf(target) {
  return target.replace(/^https?:\/\/[^/?#]*/i, '').replace(/[?#].*/, '') || '/';
}

class Service {
  // `routes`: path → function that gives the body of the answer. `work`: ms that it takes.
  constructor(routes, work) {
    Object.assign(this, { routes, work, sockets: new Set(), count: 0 });
    this.looked = performance.now();
    this.resumed = -Infinity; // when the process was continued after a stop
    this.leaving = this.ending = this.cut = false;
    this.server = http.createServer({
      maxHeaderSize: HEAD_LIMIT, headersTimeout: STALL_MS, requestTimeout: STALL_MS,
      connectionsCheckingInterval: LOOK_MS, keepAliveTimeout: 0, requireHostHeader: false,
    });
    this.server.maxHeadersCount = 0;
    // Who has sent all of a request may close the sending side and still gets the answer.
    this.server.httpAllowHalfOpen = true;
    this.server.on('connection', (socket) => this.watch(socket));
    this.server.on('request', (req, res) => this.read(req, res));
    this.server.on('checkExpectation', (req, res) => this.read(req, res));
    this.server.on('checkContinue', (req, res) => {
      if (!refusal(req)) res.writeContinue();
      this.read(req, res);
    });
    this.server.on('clientError', (fault, socket) => this.fault(fault, socket));
    this.server.on('connect', (req, socket) => this.refuse(socket, ...this.find(req)));
    // It never listens: the master deals out connections. This starts the look at slow requests.
    this.server.emit('listening');
    setInterval(() => this.look(), LOOK_MS);
  }

  // A connection that the master hands over.
  adopt(socket) {
    socket.allowHalfOpen = true;
    this.server.emit('connection', socket);
  }

  watch(socket) {
    Object.assign(socket, {
      number: ++this.count,
      open: new Set(), // requests without an answer
      half: false, // a request has begun, and is not there whole
      begun: false, // one ever has
      done: 0, // whole requests
      empty: 0, // lines before a request
      quiet: performance.now(), // since when it is idle, if it is
      closing: false,
    });
    this.sockets.add(socket);
    note('open', { conn: socket.number });
    socket.prependListener('data', (data) => this.countEmpty(socket, data));
    socket.on('close', () => {
      this.sockets.delete(socket);
      note('close', { conn: socket.number });
      this.look();
    });
    // Node closes right after the last answer. If something came that nobody has read the client
    // would get a reset, which may destroy the answer: read on for a moment.
    socket.destroySoon = () => {
      socket.closing = true;
      socket.end();
      socket.resume();
      setTimeout(() => socket.destroy(), LINGER_MS);
    };
  }

  // Node skips empty lines before a request, however many.
  countEmpty(socket, data) {
    if (socket.open.size || socket.half) return;
    const first = data.findIndex((byte) => byte !== 13 && byte !== 10);
    const empty = first < 0 ? data : data.subarray(0, first);
    socket.empty += empty.filter((byte) => byte === 10).length;
    if (socket.empty > EMPTY_LINES) socket.destroy();
    if (first >= 0) Object.assign(socket, { half: true, begun: true, empty: 0 });
  }

  read(req, res) {
    const { socket } = req;
    req.on('error', () => {}); // the client has gone: the connection's end says so
    if (socket.closing) return;
    socket.open.add(req);
    note('request', { method: req.method, path: pathOf(req.url), conn: socket.number });
    const wrong = refusal(req);
    if (wrong) return this.answer(req, res, wrong[0], { error: wrong[1] }, {}, true);
    let size = 0;
    req.on('data', (data) => {
      size += data.length;
      if (size <= BODY_LIMIT || res.headersSent) return;
      const [status, error] = FAULTS.HPE_CHUNK_EXTENSIONS_OVERFLOW;
      this.answer(req, res, status, { error }, {}, true);
    });
    req.on('end', () => {
      if (res.headersSent) return;
      Object.assign(socket, { half: false, done: socket.done + 1 });
      socket.setTimeout(0);
      res.on('close', () => this.answered(socket, req));
      const found = this.find(req);
      const reply = () => this.answer(req, res, ...found);
      if (found[0] === 200 && this.work) setTimeout(reply, this.work);
      else reply();
    });
  }

  // Status, body, and further headers.
  find(req) {
    const route = this.routes[pathOf(req.url)];
    if (!route) {
      return [404, { error: `unknown path; there is ${Object.keys(this.routes).join(', ')}` }, {}];
    }
    if (req.method !== 'GET') return [405, { error: 'only GET is allowed' }, { Allow: 'GET' }];
    return [200, route, {}];
  }

  answer(req, res, status, body, headers, close = false) {
    const { socket } = req;
    if (socket.destroyed) return;
    const text = this.text(body);
    // Requests that came behind this one are still to be answered.
    const last = close || (this.leaving && owed(socket) <= 1);
    if (last) headers = { ...headers, Connection: 'close' };
    socket.closing ||= last; // what comes now is read by nobody
    res.writeHead(status, {
      'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(text), ...headers,
    });
    socket.setTimeout(STALL_MS); // it is cut if it takes nothing for so long
    res.end(text);
    note('response', { method: req.method, path: pathOf(req.url), status, conn: socket.number });
  }

  text(body) {
    const said = typeof body === 'function' ? body() : body;
    return JSON.stringify({ worker: SLOT, pid: process.pid, ...said });
  }

  answered(socket, req) {
    socket.open.delete(req);
    socket.quiet = performance.now();
    socket.setTimeout(owed(socket) ? 0 : IDLE_MS);
    if (!owed(socket) && socket.refuse) socket.refuse();
    this.look();
  }

  // What is no HTTP, or is too slow, or too large.
  fault(fault, socket, excused = false) {
    if (!socket.writable) return socket.destroy();
    const slow = fault.code === 'ERR_HTTP_REQUEST_TIMEOUT';
    if (socket.closing || (slow && !socket.begun)) return; // for Node silence is a slow request
    if (slow && !excused && this.wasStopped()) {
      const { done } = socket;
      return after(STALL_MS, () => socket.done === done && this.fault(fault, socket, true));
    }
    this.cut ||= slow && this.ending;
    // A method that Node does not know is just a wrong one.
    const line = fault.code === 'HPE_INVALID_METHOD' && !socket.open.size
      && /^[!#$%&'*+.^`|~\w-]+ (\S+) HTTP\/1\.[01]\r/.exec(fault.rawPacket);
    const [status, body, headers] = line ? this.find({ url: line[1] })
      : [...(FAULTS[fault.code] ?? [400, `this is not valid HTTP (${fault.code})`]), {}];
    this.refuse(socket, status, typeof body === 'string' ? { error: body } : body, headers);
  }

  // An answer where Node has no response object, after those that are still owed.
  refuse(socket, status, body, headers) {
    socket.closing = true;
    socket.on('error', () => {}); // Node has taken its own listener away
    socket.refuse = () => {
      note('request', { method: '', path: '', conn: socket.number });
      const text = this.text(body);
      const lines = Object.entries({
        Date: new Date().toUTCString(), 'Content-Type': 'application/json',
        'Content-Length': Buffer.byteLength(text), Connection: 'close', ...headers,
      }).map(([name, value]) => `${name}: ${value}\r\n`);
      const reason = http.STATUS_CODES[status];
      socket.write(`HTTP/1.1 ${status} ${reason}\r\n${lines.join('')}\r\n${text}`);
      note('response', { method: '', path: '', status, conn: socket.number });
      socket.destroySoon();
    };
    if (!owed(socket)) socket.refuse();
  }

  // ----- the drain

  // `ending`: the whole cluster ends, so that idle connections are not waited for.
  leave(ending) {
    if (!this.leaving) log(`draining ${this.sockets.size} connections`);
    this.leaving = true;
    this.ending ||= ending;
    this.look();
  }

  // Whether the process was stopped and goes on since then: what has come is to be read first.
  wasStopped() {
    const now = performance.now();
    if (now - this.looked > 1000) {
      this.resumed = now;
      for (const socket of this.sockets) socket.quiet = now;
    }
    this.looked = now;
    return now - this.resumed < STALL_MS;
  }

  look() {
    this.wasStopped();
    if (!this.leaving) return;
    for (const socket of this.sockets) {
      const idle = !socket.open.size && !socket.half && !socket.closing;
      const unasked = performance.now() - socket.quiet > UNASKED_MS;
      if (idle && (this.ending || unasked)) socket.destroy();
    }
    if (!this.sockets.size) process.exit(this.cut ? 1 : 0);
  }
}

module.exports = { Service };
