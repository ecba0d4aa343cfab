// Round trips between a process and its child by process.send.
// Usage: node ipc_peer.js IN_FLIGHT SECONDS      prints {"roundTrips":…,"seconds":…}
const { fork } = require('node:child_process');

// A message from worker to worker, 100 bytes of JSON, as ipc.cpp builds it.
function message(id) {
  const text = 'how do you do, and what are you working on right now?';
  return { type: 'send', id, to: 2, message: text };
}

if (process.send) {
  process.on('message', (request) => process.send(request));
} else {
  const [inFlight, seconds] = process.argv.slice(2).map(Number);
  const child = fork(__filename);
  let nextId = 100000;
  let roundTrips = 0;
  let deadline = Infinity;
  let begun = 0n;
  const warmUp = 20 * inFlight + 2000;
  child.on('message', () => {
    roundTrips++;
    if (roundTrips === warmUp) {
      begun = process.hrtime.bigint();
      deadline = begun + BigInt(Math.round(seconds * 1e9));
    }
    if (roundTrips > warmUp && roundTrips % 16 === 0) {
      const now = process.hrtime.bigint();
      if (now >= deadline) {
        const seen = { roundTrips: roundTrips - warmUp, seconds: Number(now - begun) / 1e9 };
        console.log(JSON.stringify(seen));
        child.kill();
        process.exit(0);
      }
    }
    child.send(message(nextId++));
  });
  for (let i = 0; i < inFlight; i++) child.send(message(nextId++));
}
