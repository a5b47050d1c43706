// Clients as they come, behind a balancer that sends each of their requests to
// another instance. Each says something all the time, from before its upgrade
// until after it, and hears all of it once and in order.
import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { io } from 'socket.io-client';
import { brief, check, done, modes, result, until } from './lib.mjs';

const [mode, url, number, atOnce] = process.argv.slice(2);
const total = Number(number);
const messages = 30;

const took = [];
const errors = [];
const disconnects = [];
const wrong = [];
let connected = 0;
let upgraded = 0;
let answered = 0;
let heardAll = 0;

async function client(i) {
  const begun = performance.now();
  const user = `user-${process.pid}-${i}`; // not one of a run before, who is still missed
  const socket = io(url, { ...modes[mode], forceNew: true, auth: { user } });
  socket.on('connect_error', (err) => errors.push(`${user}: ${err.message} ${err.description ?? ''}`));
  socket.on('disconnect', (why) => {
    if (why !== 'io client disconnect') disconnects.push(`${user}: ${why}`);
  });
  let last = -1;
  socket.on('message', ({ data }) => {
    if (data !== last + 1) wrong.push(`${user}: ${data} after ${last}`);
    last = data;
  });
  socket.once('connect', () => took.push(performance.now() - begun));
  await until(20_000, () => `${user} does not connect`, () => socket.connected);
  connected++;
  const answers = [];
  for (let n = 0; n < messages; n++) {
    answers.push(socket.timeout(30_000).emitWithAck('message', { to: user, data: n }).catch((err) => err.message));
    await delay(10);
  }
  for (const [n, answer] of (await Promise.all(answers)).entries()) {
    if (answer.ok && answer.devices === 1) answered++;
    else wrong.push(`${user}: ${n} was answered ${brief(answer)}`);
  }
  await until(10_000, () => `${user} heard up to ${last}`, () => last === messages - 1).then(
    () => heardAll++, (err) => wrong.push(err.message));
  if (mode !== 'polling') {
    await until(10_000, () => `${user} stays on polling`, () => socket.io.engine.transport.name === 'websocket').then(
      () => upgraded++, (err) => wrong.push(err.message));
  }
  socket.disconnect();
}

await check(`all of ${total} clients connect, without a failure`, async () => {
  let next = 0;
  const failed = [];
  await Promise.all(Array.from({ length: Number(atOnce) }, async () => {
    while (next < total) await client(next++).catch((err) => failed.push(err.message));
  }));
  assert.deepEqual(failed.slice(0, 5), []);
  assert.equal(connected, total);
  assert.deepEqual(errors.slice(0, 5), []);
  assert.deepEqual(disconnects.slice(0, 5), []);
});

await check('what they say, and hear, comes once and in order', () => {
  assert.deepEqual(wrong.slice(0, 5), []);
  assert.equal(answered, total * messages);
  assert.equal(heardAll, total);
});

await check('much at once comes whole; too much ends the connection, not the session', async () => {
  const user = `user-${process.pid}-much`;
  const socket = io(url, { ...modes[mode], forceNew: true, auth: { user }, reconnectionDelay: 100 });
  await until(20_000, () => `${user} does not connect`, () => socket.connected);
  const heard = [];
  socket.on('message', ({ data }) => heard.push(data.length));
  const much = (n) => 'much '.repeat(n / 5);
  for (const n of [900_000, 10, 600_000]) await socket.timeout(20_000).emitWithAck('message', { to: user, data: much(n) });
  await until(10_000, () => `heard ${heard}`, () => heard.length === 3);
  assert.deepEqual(heard, [900_000, 10, 600_000]);
  if (mode === 'polling') { // by WebSocket it is a breach of the protocol
    socket.emit('message', { to: user, data: much(2_000_000) });
    await until(10_000, () => 'it is not told', () => !socket.connected);
    await until(20_000, () => 'it does not come back', () => socket.connected);
    assert.equal(socket.recovered, true);
  }
  socket.disconnect();
});

took.sort((a, b) => a - b);
const at = (q) => Math.round(took[Math.min(took.length - 1, Math.floor(q * took.length))] ?? NaN);
result(`${connected} of ${total} connected (${mode}), ${errors.length} connect_error, ${disconnects.length} disconnect, ` +
  `${upgraded} upgraded; ${answered} of ${total * messages} messages answered, ${wrong.length} wrong; ` +
  `connecting took ${at(0)}/${at(0.5)}/${at(0.99)} ms (min/p50/p99)`);
done();
