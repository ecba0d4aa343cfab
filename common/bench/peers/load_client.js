// Loads a server until SIGINT, as a client of another make than wrk: half of its connections are
// kept alive, half are fresh for each request. It never repeats a request. At the end it prints a
// JSON line: how many requests there were of each kind, and what became of those without a 200.
// Usage: load_client.js URL CONNECTIONS
'use strict';
const http = require('node:http');

const [url, connections] = [process.argv[2], Number(process.argv[3])];
const kinds = {
  kept: new http.Agent({keepAlive: true, maxSockets: connections / 2}),
  fresh: new http.Agent({keepAlive: false}),
};
const counts = {kept: {requests: 0, dropped: {}}, fresh: {requests: 0, dropped: {}}};
let ending = false;

// Resolves with 'ok', or with the class of the failure.
function ask(agent) {
  return new Promise((resolve) => {
    const request = http.get(url, {agent, timeout: 10000}, (response) => {
      response.resume();
      response.on('end', () => resolve(response.statusCode === 200 ? 'ok' : response.statusCode));
      response.on('error', (error) => resolve(error.code));
    });
    request.on('timeout', () => request.destroy(new Error('timeout')));
    request.on('error', (error) => resolve(error.code ?? error.message));
  });
}

async function client(kind) {
  while (!ending) {
    const result = await ask(kinds[kind]);
    ++counts[kind].requests;
    if (result !== 'ok') {
      counts[kind].dropped[result] = (counts[kind].dropped[result] ?? 0) + 1;
    }
  }
}

process.on('SIGINT', () => { ending = true; });
const clients = Object.keys(kinds).flatMap(
    (kind) => Array.from({length: connections / 2}, () => client(kind)));
Promise.all(clients).then(() => {
  console.log(JSON.stringify(counts));
  process.exit(0);
});
