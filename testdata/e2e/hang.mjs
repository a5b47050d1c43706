// A broker that neither answers nor ends, as behind a cut cable.
import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { ask, check, done, open } from './lib.mjs';

const [a, b] = process.argv.slice(2);
const room = 'belfry';
const alice = await open(a, 'alice');
const anna = await open(a, 'anna');
const bob = await open(b, 'bob');
for (const c of [alice, anna, bob]) await c.emit('room:join', room);
for (const c of [alice, bob]) await c.sees({ alice: 1, anna: 1, bob: 1 });

let sent = 0;
await check('while the broker hangs an instance serves its own', async () => {
  await ask('freeze broker');
  for (const end = Date.now() + 12_000; Date.now() < end; sent++) {
    const start = Date.now();
    assert.equal((await alice.emit('room:message', { room, data: sent })).ok, true);
    assert.equal((await anna.next('room:message')).data, sent);
    assert.ok(Date.now() - start < 2000, `message ${sent} took ${Date.now() - start} ms`);
    await delay(50);
  }
});

await check('a direct message is answered, though nobody can tell the other devices', async () => {
  const answer = await alice.emit('message', { to: 'anna', data: 'ding' });
  assert.deepEqual([answer.ok, answer.devices], [true, 1]);
  await anna.next('message');
});

await check('then everything arrives, once and in order', async () => {
  await ask('thaw broker');
  const end = Date.now() + 15_000;
  for (let n = 0; n < sent; n++) {
    assert.equal((await bob.next('room:message', undefined, Math.max(1, end - Date.now()))).data, n);
  }
  for (const c of [alice, bob]) await c.sees({ alice: 1, anna: 1, bob: 1 }, Math.max(1, end - Date.now()));
  for (const c of [alice, anna, bob]) assert.equal(c.count('disconnect'), 0, c.user);
  assert.equal(bob.count('room:message'), 0, 'nothing came twice');
});

done();
