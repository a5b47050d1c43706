// Clients as they come, that talk to each other while one instance after the
// other is restarted under them, or one is killed.
import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { io } from 'socket.io-client';
import { ask, check, done, modes, result, until } from './lib.mjs';

const [what, mode, url, number] = process.argv.slice(2);
const members = [];
const errors = [];
for (let i = 0; i < Number(number); i++) {
  const user = `official-${i}`;
  const socket = io(url, { ...modes[mode], forceNew: true, auth: { user } });
  const member = { user, socket, heard: new Map(), disorder: [], back: 0, recovered: 0, lost: 0 };
  socket.on('connect', () => {
    member.back++;
    if (socket.recovered) member.recovered++;
    else if (member.back > 1) socket.emit('room:join', 'officials');
  });
  socket.on('disconnect', (why) => {
    member.lost++;
    if (why === 'io server disconnect') errors.push(`${user}: ${why}`);
  });
  socket.on('connect_error', (err) => errors.push(`${user}: ${err.message} ${err.description ?? ''}`));
  socket.on('room:message', ({ from, data }) => {
    const had = member.heard.get(from) ?? [];
    if (had.length && data <= had.at(-1)) member.disorder.push(`${user}: ${data} after ${had.at(-1)} of ${from}`);
    had.push(data);
    member.heard.set(from, had);
  });
  members.push(member);
}
for (const m of members) {
  await until(30_000, () => `${m.user} does not connect`, () => m.socket.connected);
  await m.socket.timeout(20_000).emitWithAck('room:join', 'officials');
}

// Each says something all the time. What is not acknowledged may have been lost
// with the connection.
let talking = true;
const acked = new Map(members.map((m) => [m.user, []]));
let unanswered = 0;
const talk = members.map(async ({ user, socket }) => {
  for (let n = 1; talking; n++) {
    await delay(200 + Math.random() * 200);
    if (!socket.connected) continue;
    const answer = await socket.timeout(20_000).emitWithAck('room:message', { room: 'officials', data: n }).catch(() => null);
    if (answer?.ok) acked.get(user).push(n);
    else unanswered++;
  }
});

await ask(what);
await delay(1000);
await until(40_000, () => 'not all are back', () => members.every((m) => m.socket.connected));
talking = false;
await Promise.all(talk);
const missing = () => members.flatMap((m) => [...acked].flatMap(([from, ns]) => {
  const had = new Set(m.heard.get(from));
  return ns.filter((n) => !had.has(n)).map((n) => `${m.user} did not hear ${n} of ${from}`);
}));
await until(what === 'restart' ? 15_000 : 1000, () => '', () => missing().length === 0).catch(() => {});

const sum = (f) => members.reduce((n, m) => n + f(m), 0);
const said = [...acked.values()].reduce((n, ns) => n + ns.length, 0);
result(`official clients (${mode}, ${what}): ${members.length}, ${said} messages acknowledged, ${unanswered} not, which are ${said * members.length} deliveries: ` +
  `${missing().length} missing, ${sum((m) => m.disorder.length)} twice or out of order; ${sum((m) => m.lost)} connections lost, ` +
  `${sum((m) => m.recovered)} recovered, ${errors.length} errors`);
if (what === 'restart') await check('the official clients are recovered each time, without an error', () => {
  assert.deepEqual(errors.slice(0, 5), []);
  assert.ok(sum((m) => m.lost) >= members.length, 'not all have moved');
  for (const m of members) assert.equal(m.recovered, m.back - 1, `${m.user}: recovered`);
});
await check('they hear each other, once and in order', async () => {
  if (what === 'restart') assert.deepEqual(missing().slice(0, 5), []);
  assert.deepEqual(members.flatMap((m) => m.disorder).slice(0, 5), []);
});
await check('all hear each other now', async () => {
  for (const m of members) {
    const n = 1_000_000 + m.back;
    const answer = await m.socket.timeout(20_000).emitWithAck('room:message', { room: 'officials', data: n });
    assert.equal(answer.ok, true);
    await until(10_000, () => `not all hear ${m.user}`, () => members.every((o) => o.heard.get(m.user)?.at(-1) === n));
  }
});

done();
