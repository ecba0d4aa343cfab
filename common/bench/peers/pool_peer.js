// A pool of WORKERS workers behind Node's primary process, over process.send. Each worker has one
// task in flight.
// Usage: node pool_peer.js SECONDS      trivial tasks without HTTP; prints {"tasks":…,"seconds":…}
//        node pool_peer.js              serves exercise 5's POST /task and GET /task/<id> on PORT
const cluster = require('node:cluster');
const { randomUUID } = require('node:crypto');
const http = require('node:http');

const fibonacci = (n) => (n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2));

function measure(workers, seconds) {
  const warmUp = 2000;
  let tasks = 0;
  let begun = 0n;
  let deadline = 0n;
  const handOut = (worker) => worker.send({ type: 'task', id: tasks, kind: 'increment', n: tasks });
  cluster.on('message', (worker) => {
    if (++tasks === warmUp) {
      begun = process.hrtime.bigint();
      deadline = begun + BigInt(Math.round(seconds * 1e9));
    }
    if (tasks > warmUp && tasks % 16 === 0 && process.hrtime.bigint() >= deadline) {
      const taken = Number(process.hrtime.bigint() - begun) / 1e9;
      console.log(JSON.stringify({ tasks: tasks - warmUp, seconds: taken }));
      workers.forEach((one) => one.process.kill('SIGKILL'));
      process.exit(0);
    }
    handOut(worker);
  });
  let online = 0;
  cluster.on('online', () => ++online === workers.length && workers.forEach(handOut));
}

function serve(workers) {
  const maxQueue = Number(process.env.MAX_QUEUE || 20);
  const tasks = new Map();
  const waiting = [];
  const free = [];
  const assign = () => {
    while (waiting.length && free.length) {
      const task = waiting.shift();
      const worker = free.pop();
      Object.assign(task, { status: 'processing', worker: worker.id, startedAt: Date.now() });
      task.attempts++;
      worker.send({ type: 'task', id: task.taskId, kind: task.type, n: task.n });
    }
  };
  cluster.on('online', (worker) => { free.push(worker); assign(); });
  cluster.on('message', (worker, message) => {
    const task = tasks.get(message.id);
    Object.assign(task, { status: 'completed', result: message.result, finishedAt: Date.now() });
    free.push(worker);
    assign();
  });
  const answer = (response, status, body, headers = {}) => {
    const text = JSON.stringify(body);
    response.writeHead(status, {
      'Content-Type': 'application/json',
      'Content-Length': Buffer.byteLength(text),
      ...headers,
    });
    response.end(text);
  };
  const submit = (response, body) => {
    const { type, n } = JSON.parse(body);
    if (waiting.length >= maxQueue) {
      return answer(response, 429, { error: 'full' }, { 'Retry-After': '1' });
    }
    const taskId = randomUUID();
    const task = { taskId, type, n, status: 'queued', attempts: 0, queuedAt: Date.now() };
    tasks.set(taskId, task);
    waiting.push(task);
    answer(response, 202, { taskId, status: 'queued' }, { Location: `/task/${taskId}` });
    assign();
  };
  http.createServer((request, response) => {
    if (request.method === 'POST') {
      let body = '';
      request.on('data', (part) => { body += part; });
      request.on('end', () => submit(response, body));
      return;
    }
    const task = tasks.get(request.url.slice('/task/'.length));
    answer(response, task ? 200 : 404, task || { error: 'unknown' });
  }).listen(Number(process.env.PORT), '127.0.0.1', 1024);
  process.on('SIGTERM', () => {
    workers.forEach((one) => one.process.kill('SIGKILL'));
    process.exit(0);
  });
}

if (cluster.isPrimary) {
  const workers = Array.from({ length: Number(process.env.WORKERS || 4) }, () => cluster.fork());
  if (process.argv[2]) measure(workers, Number(process.argv[2]));
  else serve(workers);
} else {
  process.on('message', ({ id, kind, n }) => {
    process.send({ type: 'result', id, result: kind === 'fibonacci' ? fibonacci(n) : n + 1 });
  });
  process.on('disconnect', () => process.exit(0));
}
