// Node's cluster module with WORKERS workers that give the answers of exercise 1.
// Node itself reads NODE_CLUSTER_SCHED_POLICY (rr or none). TEMPLATE is the answer to copy.
const cluster = require('node:cluster');
const http = require('node:http');

if (cluster.isPrimary) {
  for (let i = 0; i < Number(process.env.WORKERS); i++) cluster.fork();
  // The usual rolling restart: another worker starts, then the old one is disconnected. If the old
  // one does not end, it is killed.
  process.on('SIGUSR2', async () => {
    for (const old of Object.values(cluster.workers)) {
      await new Promise((resolve) => cluster.fork().once('listening', resolve));
      const limit = setTimeout(() => old.process.kill('SIGKILL'), 2000);
      await new Promise((resolve) => { old.once('exit', resolve); old.disconnect(); });
      clearTimeout(limit);
    }
  });
  process.on('SIGTERM', () => {
    Object.values(cluster.workers).forEach((worker) => worker.process.kill());
  });
  cluster.on('exit', () => Object.keys(cluster.workers).length || process.exit(0));
} else {
  const template = JSON.parse(process.env.TEMPLATE);
  const server = http.createServer((request, response) => {
    const body = JSON.stringify({ ...template, worker: cluster.worker.id, pid: process.pid });
    response.writeHead(200, {
      'Content-Type': 'application/json',
      'Content-Length': Buffer.byteLength(body),
    });
    response.end(body);
  });
  server.listen(Number(process.env.PORT), '127.0.0.1', 1024);
  process.on('disconnect', () => process.exit(0));
}
