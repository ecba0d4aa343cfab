// What the Node programs share: settings, log, journal, and timers that are fair.
'use strict';

const fs = require('fs');
const net = require('net');
const os = require('os');

// The master hands the slot down to a worker; the master itself has none.
const SLOT = Number(process.env.CLUSTER_SLOT || 0);
const SLICE_MS = 100;

// A setting that the contract does not allow.
class Refused extends Error {}

function refuse(name, allowed) {
  throw new Refused(`${name}=${process.env[name]} is not allowed: ${allowed}`);
}

function whole(name, otherwise, low, high) {
  const text = process.env[name] ?? String(otherwise);
  if (!/^[0-9]+$/.test(text) || Number(text) < low || Number(text) > high) {
    refuse(name, `a whole number from ${low} to ${high}`);
  }
  return Number(text);
}

function duration(name, otherwise, low = 1) {
  return whole(name, otherwise, low, 3_600_000);
}

// Those that are common to all exercises.
function commonSettings(workers) {
  const host = process.env.HOST ?? '127.0.0.1';
  if (host !== 'localhost' && !net.isIP(host)) {
    refuse('HOST', 'an IPv4 or IPv6 address or localhost');
  }
  return {
    host,
    address: host === 'localhost' ? '127.0.0.1' : host,
    port: whole('PORT', 8000, 0, 65535),
    workers: whole('WORKERS', workers, 1, 64),
    shutdownTimeout: duration('SHUTDOWN_TIMEOUT_MS', 10_000),
  };
}

// ----- journal

let journal = -1;

function openJournal() {
  const path = process.env.JOURNAL;
  if (path === undefined) return;
  const { O_WRONLY, O_APPEND, O_CREAT, O_NONBLOCK } = fs.constants;
  try {
    journal = fs.openSync(path, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK, 0o644);
  } catch (why) {
    refuse('JOURNAL', `a file that can be written (${why.code})`);
  }
}

function note(event, fields = {}) {
  if (journal < 0) return;
  const t = Number(process.hrtime.bigint()) / 1e9;
  const role = SLOT ? 'worker' : 'master';
  write(journal, { t, role, worker: SLOT, pid: process.pid, event, ...fields });
}

// ----- output

let ownSocket; // kept: it would close its descriptor when it is collected
const output = openOutput();

// Node writes to pipes and sockets blocking. Who does not read must hold nothing up, so this opens
// the pipe or terminal once more for itself, not blocking; others who have it notice nothing.
function openOutput() {
  const kind = fs.fstatSync(1);
  const { O_WRONLY, O_NONBLOCK, O_NOCTTY } = fs.constants;
  try {
    if (kind.isSocket()) ownSocket = new net.Socket({ fd: 1, readable: false });
    if (kind.isFIFO() || kind.isCharacterDevice()) {
      return fs.openSync('/proc/self/fd/1', O_WRONLY | O_NONBLOCK | O_NOCTTY);
    }
  } catch { /* it is not ours to open: write to it as it is */ }
  return 1;
}

function write(descriptor, line) {
  try {
    fs.writeSync(descriptor, (typeof line === 'string' ? line : JSON.stringify(line)) + '\n');
  } catch { /* nobody reads, or the disk is full: the line is dropped */ }
}

function log(text) {
  const now = new Date();
  const ms = String(now.getMilliseconds()).padStart(3, '0');
  const stamp = `${now.toTimeString().slice(0, 8)}.${ms}`;
  write(output, `${stamp} ${SLOT ? `worker${SLOT}` : 'master'}[${process.pid}] ${text}`);
}

function announce(settings, port) {
  const host = settings.host.includes(':') ? `[${settings.host}]` : settings.host;
  write(output, `ready url=http://${host}:${port} workers=${settings.workers} pid=${process.pid}`);
}

function complain(text) {
  write(2, text);
}

// ----- time and signals

// Calls `then` after that time; returns what cancels it. It goes in slices, and a slice that took
// far too long counts little: the time for which the process was stopped is nobody's fault.
function after(ms, then) {
  let left = ms;
  let timer;
  const slice = () => {
    const since = performance.now();
    timer = setTimeout(() => {
      left -= Math.min(performance.now() - since, 2 * SLICE_MS);
      if (left <= 0) then();
      else slice();
    }, Math.min(left, SLICE_MS));
  };
  slice();
  return () => clearTimeout(timer);
}

// Signals whose default action would end the process, or start Node's debugger (SIGUSR1).
function ignore(...names) {
  for (const name of names) process.on(name, () => {});
}

function signalNumber(name) {
  return os.constants.signals[name];
}

module.exports = {
  SLOT, Refused, after, announce, commonSettings, complain, duration, ignore, log, note,
  openJournal, signalNumber,
};
