// Instances that were there before their broker.
import assert from 'node:assert/strict';
import { ask, check, done, open, reached } from './lib.mjs';

const [a, b] = process.argv.slice(2);
const alice = await open(a, 'alice');
const anna = await open(a, 'anna');
const bob = await open(b, 'bob');

await check('before the broker is there an instance serves its own', async () => {
  const answer = await alice.emit('message', { to: 'anna', data: 'ding' });
  assert.deepEqual([answer.ok, answer.devices], [true, 1]);
  assert.equal((await anna.next('message')).data, 'ding');
  assert.equal((await alice.emit('message', { to: 'bob', data: 'ding' })).devices, 0);
});

await check('when it comes they find each other', async () => {
  await ask('start broker');
  for (const c of [alice, bob]) await c.sees({ alice: 1, anna: 1, bob: 1 }, 15_000);
  const answer = await alice.emit('message', { to: 'bob', data: 'dong' });
  reached(answer, 1);
  await bob.next('message', (m) => m.id === answer.id);
  for (const c of [alice, anna, bob]) assert.equal(c.count('disconnect'), 0);
});

done();
