// Node's cluster module with two workers that answer what exercise 1 answers.
// NODE_CLUSTER_SCHED_POLICY (rr or none) is read by Node itself; TEMPLATE is the answer to copy.
const cluster = require('node:cluster');
const http = require('node:http');

if (cluster.isPrimary) {
  for (let i = 0; i < 2; i++) cluster.fork();
  process.on('SIGTERM', () => Object.values(cluster.workers).forEach((worker) => worker.process.kill()));
  cluster.on('exit', () => Object.keys(cluster.workers).length || process.exit(0));
} else {
  const template = JSON.parse(process.env.TEMPLATE);
  const server = http.createServer((request, response) => {
    const body = JSON.stringify({ ...template, worker: cluster.worker.id, pid: process.pid });
    response.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) });
    response.end(body);
  });
  server.listen(Number(process.env.PORT), '127.0.0.1', 1024);
  process.on('disconnect', () => process.exit(0));
}
