// Node's cluster module with WORKERS workers that answer GET /stats as exercise 4 does. The worker
// that gets the request asks the primary. The primary asks every worker, collects the replies, and
// answers. Ids, deadlines and pending tables are those of exercise 4.
const cluster = require('node:cluster');
const http = require('node:http');

const masterTimeout = 3750;
const callerTimeout = 4500;

function primary() {
  const pending = new Map();
  let lastId = 0;
  const finish = (id) => {
    const entry = pending.get(id);
    if (!entry) return;
    pending.delete(id);
    clearTimeout(entry.timer);
    const { answers } = entry;
    entry.caller.send({ type: 'answer', id: entry.id, answers, missing: [...entry.awaited] });
  };
  cluster.on('message', (worker, message) => {
    if (message.type === 'call') {
      const id = ++lastId;
      const all = Object.values(cluster.workers);
      const awaited = new Set(all.map((one) => one.id));
      const entry = { caller: worker, id: message.id, awaited, answers: [] };
      entry.timer = setTimeout(finish, masterTimeout, id);
      pending.set(id, entry);
      for (const one of all) one.send({ type: 'request', id, what: message.what, from: worker.id });
    } else {
      const entry = pending.get(message.id);
      if (!entry) return;
      entry.awaited.delete(worker.id);
      entry.answers.push(message.body);
      if (entry.awaited.size === 0) finish(message.id);
    }
  });
  for (let i = 0; i < Number(process.env.WORKERS); i++) cluster.fork();
  process.on('SIGTERM', () => {
    Object.values(cluster.workers).forEach((worker) => worker.process.kill());
  });
  cluster.on('exit', () => Object.keys(cluster.workers).length || process.exit(0));
}

function worker() {
  const number = cluster.worker.id;
  const began = Date.now();
  const pending = new Map();
  let lastId = 0;
  let requests = 0;
  process.on('message', (message) => {
    if (message.type === 'request') {
      const body = {
        worker: number,
        pid: process.pid,
        requests,
        received: 0,
        pending: pending.size,
        uptime: (Date.now() - began) / 1000,
      };
      process.send({ type: 'reply', id: message.id, body });
    } else {
      const entry = pending.get(message.id);
      if (!entry) return;
      pending.delete(message.id);
      clearTimeout(entry.timer);
      entry.done(message);
    }
  });
  const call = (what) => new Promise((done) => {
    const id = `${number}-${began}-${++lastId}`;
    const timer = setTimeout(() => { pending.delete(id); done(null); }, callerTimeout);
    pending.set(id, { done, timer });
    process.send({ type: 'call', id, what });
  });
  http.createServer(async (request, response) => {
    requests++;
    const found = await call('stats');
    const workers = found ? found.answers.sort((a, b) => a.worker - b.worker) : [];
    const total = { workers: workers.length, requests: 0, received: 0, pending: 0 };
    for (const one of workers) {
      for (const key of ['requests', 'received', 'pending']) total[key] += one[key];
    }
    const missing = found ? found.missing : [];
    const body = JSON.stringify({ worker: number, pid: process.pid, workers, total, missing });
    response.writeHead(found ? 200 : 504, {
      'Content-Type': 'application/json',
      'Content-Length': Buffer.byteLength(body),
    });
    response.end(body);
  }).listen(Number(process.env.PORT), '127.0.0.1', 1024);
  process.on('disconnect', () => process.exit(0));
}

if (cluster.isPrimary) primary();
else worker();
