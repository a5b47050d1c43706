// What clients notice while the broker is dead, and after it is back.
import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { ask, check, done, open, reached, until } from './lib.mjs';

const [a, b] = process.argv.slice(2);
const room = 'belfry';
const alice = await open(a, 'alice');
const anna = await open(a, 'anna');
const bob = await open(b, 'bob');
for (const c of [alice, anna, bob]) await c.emit('room:join', room);

const quickly = async (promise) => {
  const start = Date.now();
  const answer = await promise;
  assert.ok(Date.now() - start < 2000, `the ack took ${Date.now() - start} ms`);
  assert.equal(answer.ok, true);
  return answer;
};

let back; // when the broker was, ms
const left = () => Math.max(1, back + 15_000 - Date.now());

await check('messages cross', async () => {
  await alice.sees({ bob: 1 });
  reached(await alice.emit('message', { to: 'bob', data: 'before' }), 1);
  assert.equal((await bob.next('message')).data, 'before');
});

await check('without the broker an instance serves its own', async () => {
  await ask('kill broker');
  for (let n = 0; n < 20; n++) {
    const direct = await quickly(alice.emit('message', { to: 'anna', data: n }));
    assert.equal(direct.devices, 1);
    assert.equal((await anna.next('message')).data, n);
    await quickly(alice.emit('room:message', { room, data: n }));
    assert.equal((await anna.next('room:message')).data, n);
    assert.equal((await alice.next('room:message')).data, n);
  }
});

let carol, dave;
await check('and takes new clients', async () => {
  carol = await open(a, 'carol');
  dave = await open(b, 'dave');
  await quickly(carol.emit('room:join', room));
  const answer = await quickly(alice.emit('message', { to: 'carol', data: 'welcome' }));
  assert.equal(answer.devices, 1);
  assert.equal((await carol.next('message')).data, 'welcome');
});

await check('what was sent to a room meanwhile arrives, once and in order', async () => {
  await ask('start broker');
  back = Date.now();
  for (let n = 0; n < 20; n++) assert.equal((await bob.next('room:message', undefined, left())).data, n);
});

await check('messages cross again within 15 s', async () => {
  for (const [from, to] of [[alice, bob], [dave, carol]]) {
    await until(left(), () => `nothing of ${from.user} reaches ${to.user}`, async () => {
      const answer = await from.emit('message', { to: to.user, data: 'after' });
      return answer.devices === 1 && (await to.next('message', (m) => m.id === answer.id, left()));
    });
  }
  assert.equal(bob.count('room:message'), 0, 'nothing came twice');
});

await check('presence is right again', async () => {
  const want = { alice: 1, anna: 1, bob: 1, carol: 1, dave: 1 };
  const [onA, onB] = await Promise.all([alice.sees(want, left()), bob.sees(want, left())]);
  assert.deepEqual(onA, onB);
  assert.deepEqual(Object.keys(onA).sort(), Object.keys(want));
  for (const [name, session] of [['carol', carol.session], ['dave', dave.session]]) {
    assert.deepEqual(onA[name].instances, [session.instance]);
  }
});

// Longer than it takes to count a silent instance as gone, and than all quick
// retries of the broker.
await check('a long outage ends as well', async () => {
  await ask('kill broker');
  let n = 0;
  for (const end = Date.now() + 12_000; Date.now() < end; n++) {
    await quickly(alice.emit('room:message', { room, data: n }));
    assert.equal((await anna.next('room:message')).data, n);
    const direct = await quickly(bob.emit('message', { to: 'dave', data: n }));
    assert.equal(direct.devices, 1);
    assert.equal((await dave.next('message')).data, n);
    await delay(50);
  }
  await ask('start broker');
  back = Date.now();
  for (const c of [alice, bob]) await c.sees({ alice: 1, anna: 1, bob: 1, carol: 1, dave: 1 }, left());

  const answer = await alice.emit('room:message', { room, data: 'over' });
  const heard = [];
  for (let m; m?.id !== answer.id; heard.push(m.data)) m = await bob.next('room:message', undefined, left());
  heard.pop();
  assert.deepEqual(heard, [...new Set(heard)].sort((x, y) => x - y), 'none twice, all in order');
  assert.deepEqual(heard, Array.from({ length: n }, (_, i) => i), 'none lost');
});

await check('no client was disconnected', async () => {
  for (const c of [alice, anna, bob, carol, dave]) assert.equal(c.count('disconnect'), 0, c.user);
});

done();
