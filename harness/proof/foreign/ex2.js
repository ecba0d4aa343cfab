// Exercise 2 in plain Node.js: a rolling restart that drops no request.
//
// Start it with `node ex2.js`. The module cluster forks the workers, but neither of its ways to
// share a port keeps the contract: dealt out in turn, a connection is stuck in a stopped worker;
// left to the kernel, some workers get hardly any. So the master accepts, asks the next worker in
// turn, and hands the connection over when it answers. The master says `offer`, `connection`,
// `drain`; the worker `ready`, `take`, `leaving`.
'use strict';

const cluster = require('cluster');
const net = require('net');
const base = require('./node_base');

const { SLOT, after, log, note } = base;
const VERSION = process.env.CLUSTER_VERSION ?? '1.0.0';
const ANSWER_MS = 50;
const BACKLOG = 1024;

function readSettings() {
  const settings = {
    ...base.commonSettings(4),
    startup: base.duration('STARTUP_MS', 500, 0),
    readyTimeout: base.duration('READY_TIMEOUT_MS', 30_000),
    drainTimeout: base.duration('DRAIN_TIMEOUT_MS', 10_000),
    work: base.duration('WORK_MS', 0, 0),
  };
  base.openJournal();
  return settings;
}

// ------------------------------------------------------------------------------------- the worker

function work(settings) {
  const { Service } = require('./node_http');
  const service = new Service({ '/': () => ({
    version: VERSION, uptime: process.uptime(), timestamp: new Date().toISOString(),
  }) }, settings.work);
  let ready = false;

  const tell = (type) => {
    const message = { type };
    note('send', { type, peer: 'master', bytes: JSON.stringify(message).length });
    process.send(message, undefined, {}, () => {});
  };
  const leave = (ending) => (ready ? service.leave(ending) : process.exit(0));

  // The end of the master ends the channel, and then the module cluster ends this process.
  process.on('message', (message, socket) => {
    note('recv', { type: message.type, peer: 'master', bytes: JSON.stringify(message).length });
    if (message.type === 'offer') tell('take');
    else if (message.type === 'drain') leave(message.ending);
    else if (socket) service.adopt(socket);
  });
  // The master hands over nothing more when it has read this, and says `drain`.
  process.on('SIGTERM', () => {
    note('signal', { name: 'SIGTERM' });
    tell('leaving');
  });
  // A terminal sends these to the whole group: the master tells the workers what to do.
  base.ignore('SIGINT', 'SIGHUP', 'SIGUSR1', 'SIGUSR2');
  setTimeout(() => {
    ready = true;
    note('ready');
    tell('ready');
  }, settings.startup);
}

// ------------------------------------------------------------------------------------- the master

// One process of a worker, as the master sees it.
class Worker {
  constructor(slot, version) {
    this.slot = slot;
    this.version = version;
    this.ready = this.asked = this.late = this.leaving = false;
    this.started = performance.now();
    this.handle = cluster.fork({ CLUSTER_SLOT: slot.number, CLUSTER_VERSION: version });
    this.pid = this.handle.process.pid;
    note('spawn', { peer: slot.number, child: this.pid });
    // Whether it has become ready; that is known at the latest when it has ended.
    this.up = new Promise((resolve) => { this.setUp = resolve; });
    this.gone = new Promise((resolve) => { this.setGone = resolve; });
  }

  tell(type, fields = {}, socket = undefined) {
    const message = { type, ...fields };
    note('send', { type, peer: this.slot.number, bytes: JSON.stringify(message).length });
    // If that fails the worker is about to end, and its end says so.
    if (this.handle.isConnected()) this.handle.send(message, socket, {}, () => {});
  }

  kill(why) {
    log(`killing worker ${this.slot.number} pid ${this.pid}: ${why}`);
    this.handle.process.kill('SIGKILL');
  }
}

class Master {
  constructor(settings, listener) {
    this.settings = settings;
    this.listener = listener;
    this.version = VERSION;
    this.slots = Array.from({ length: settings.workers }, (_, index) => ({
      number: index + 1, version: VERSION, pause: 0,
      worker: null, // the process that serves, or will
      successor: null, // that of a restart, until it is ready
    }));
    this.processes = new Set();
    this.waiting = []; // connections that no worker has taken yet
    this.turn = 0;
    this.announced = this.restarting = this.ending = this.failed = false;
  }

  start() {
    this.listener.on('connection', (socket) => {
      socket.on('error', () => {});
      this.waiting.push(socket);
      this.deal();
    });
    for (const slot of this.slots) slot.worker = this.spawn(slot, slot.version);
  }

  spawn(slot, version) {
    const worker = new Worker(slot, version);
    this.processes.add(worker);
    worker.handle.on('message', (message) => this.onMessage(worker, message));
    worker.handle.on('exit', (code, signal) => this.bury(worker, code, signal));
    worker.handle.on('error', (why) => {
      if (!worker.pid) this.bury(worker, why.errno ?? 1, null); // it could not be started at all
    });
    return worker;
  }

  onMessage(worker, message) {
    const { type } = message;
    note('recv', { type, peer: worker.slot.number, bytes: JSON.stringify(message).length });
    if (type === 'ready') {
      worker.ready = true;
      worker.setUp(true);
      log(`worker ${worker.slot.number} pid ${worker.pid} version ${worker.version} is ready`);
      if (!this.announced && this.slots.every((slot) => slot.worker?.ready) && !this.ending) {
        this.announced = true;
        base.announce(this.settings, this.listener.address().port);
      }
    } else if (type === 'leaving') {
      this.retire(worker);
    } else if (type === 'take') {
      clearTimeout(worker.patience);
      worker.asked = worker.late = false;
      if (!worker.leaving && this.waiting.length) {
        worker.tell('connection', {}, this.waiting.shift());
      }
    }
    this.deal();
  }

  // ----- connections

  // For each connection that waits one worker is asked. Who does not answer at once may be stopped:
  // another one is asked, and it is not asked again before it has answered.
  deal() {
    const asked = [...this.processes].filter((one) => one.asked && !one.late && !one.leaving);
    for (let count = asked.length; count < this.waiting.length; count += 1) {
      const worker = this.next();
      if (!worker) return;
      worker.asked = true;
      worker.patience = setTimeout(() => {
        worker.late = true;
        this.deal();
      }, ANSWER_MS);
      worker.tell('offer');
    }
  }

  next() {
    for (let step = 0; step < this.slots.length; step += 1) {
      const { worker } = this.slots[this.turn];
      this.turn = (this.turn + 1) % this.slots.length;
      if (worker?.ready && !worker.asked && !worker.leaving) return worker;
    }
    return null;
  }

  // ----- the end of a process

  bury(worker, code, signal) {
    const { slot } = worker;
    const how = signal ? { signal: base.signalNumber(signal) } : { status: code };
    note('exit', { peer: slot.number, child: worker.pid, ...how });
    log(`worker ${slot.number} pid ${worker.pid} ended: ${signal ?? `status ${code}`}`);
    clearTimeout(worker.patience);
    this.processes.delete(worker);
    worker.setUp(false);
    worker.setGone();
    if (this.ending) {
      this.failed ||= worker.ready && (signal !== null || code !== 0);
      return this.finish();
    }
    const lived = performance.now() - worker.started;
    if (worker === slot.worker) {
      slot.worker = null;
      slot.pause = lived >= 1000 ? 0 : Math.min(5000, slot.pause * 2 || 100);
      if (!slot.successor) this.repair(slot); // else that takes the slot over
    }
    this.deal();
  }

  repair(slot) {
    slot.timer = setTimeout(() => { slot.worker = this.spawn(slot, slot.version); }, slot.pause);
  }

  async retire(worker, why = 'asked to leave') {
    if (worker.leaving) return;
    log(`worker ${worker.slot.number} pid ${worker.pid} drains: ${why}`);
    worker.leaving = true;
    worker.tell('drain', { ending: false });
    const cancel = after(this.settings.drainTimeout, () => worker.kill('it drains for too long'));
    await worker.gone;
    cancel();
  }

  // ----- the restart

  async restart() {
    if (!this.announced || this.restarting) {
      return log(`SIGUSR2 ignored: ${this.restarting ? 'restart under way' : 'not ready yet'}`);
    }
    const [major, minor] = this.version.split('.').map(Number);
    const version = `${major}.${minor + 1}.0`;
    const began = performance.now();
    this.restarting = true;
    log(`restart: ${this.version} to ${version}`);
    let done = true;
    for (const slot of this.slots) {
      done &&= await this.replace(slot, version);
      if (this.ending) return;
      if (!done) break;
    }
    this.restarting = false;
    if (done) this.version = version;
    const took = Math.round(performance.now() - began);
    log(`restart ${done ? 'done' : 'abandoned'} after ${took} ms, version ${this.version}`);
  }

  // Returns whether the slot has the new version now.
  async replace(slot, version) {
    clearTimeout(slot.timer); // a replacement that pauses: the successor comes in its place
    const successor = this.spawn(slot, version);
    slot.successor = successor;
    const cancel = after(this.settings.readyTimeout, () => successor.kill('not ready in time'));
    const up = await successor.up;
    cancel();
    slot.successor = null;
    if (this.ending) return false;
    if (!up) {
      log(`the new worker ${slot.number} pid ${successor.pid} did not become ready`);
      if (!slot.worker) this.repair(slot);
      return false;
    }
    const old = slot.worker;
    Object.assign(slot, { worker: successor, version, pause: 0 });
    if (old) {
      this.retire(old, `pid ${successor.pid} takes its slot`);
      await old.gone;
    }
    return true;
  }

  // ----- the end

  end(name) {
    note('signal', { name });
    if (this.ending) {
      log(`${name}: ${name === 'SIGHUP' ? 'the end is under way' : 'ending now'}`);
      return name === 'SIGHUP' ? undefined : this.force('a second signal');
    }
    log(`${name}: ending`);
    this.ending = true;
    this.listener.close();
    for (const socket of this.waiting.splice(0)) socket.destroy();
    for (const slot of this.slots) clearTimeout(slot.timer);
    for (const worker of this.processes) {
      worker.leaving = true;
      worker.tell('drain', { ending: true });
    }
    after(this.settings.shutdownTimeout, () => this.force('the time is over'));
    this.finish();
  }

  force(why) {
    this.failed = true;
    for (const worker of this.processes) worker.kill(why);
  }

  finish() {
    if (this.processes.size) return;
    log(`ended${this.failed ? ', not everything was finished' : ''}`);
    process.exit(this.failed ? 1 : 0);
  }
}

function lead(settings) {
  const listener = net.createServer({ pauseOnConnect: true, noDelay: true });
  const master = new Master(settings, listener);
  for (const name of ['SIGTERM', 'SIGINT', 'SIGHUP']) process.on(name, () => master.end(name));
  process.on('SIGUSR2', () => {
    note('signal', { name: 'SIGUSR2' });
    master.restart();
  });
  base.ignore('SIGUSR1');
  listener.on('error', (why) => {
    if (master.processes.size) return log(`cannot accept a connection: ${why.code}`);
    const holder = `; see who has it: ss -ltnp 'sport = :${settings.port}'`;
    base.complain(`cannot listen on ${settings.host}:${settings.port}: ${why.code}`
      + (why.code === 'EADDRINUSE' ? holder : ''));
    process.exit(1);
  });
  listener.listen({ host: settings.address, port: settings.port, backlog: BACKLOG },
    () => !master.ending && master.start());
}

try {
  const settings = readSettings();
  if (SLOT) work(settings);
  else lead(settings);
} catch (why) {
  if (!(why instanceof base.Refused)) throw why;
  base.complain(why.message);
  process.exit(2);
}
