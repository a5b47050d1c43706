// A client of the server itself, as it is configured by default, that loses its
// connection while another speaks to it.
import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { ask, check, done, open, until } from './lib.mjs';

const [url, direct] = process.argv.slice(2);
const alice = await open(url, 'alice', { transports: ['websocket'] });
const bob = await open(direct, 'bob', { transports: ['websocket'] });
const id = alice.socket.id;

await check('what was said meanwhile is heard, once', async () => {
  for (const c of [alice, bob]) await c.emit('room:join', 'tower');
  alice.heard = [];
  await ask('refuse');
  await alice.next('disconnect');
  await bob.emit('message', { to: 'alice', data: 'ding' });
  await bob.emit('room:message', { room: 'tower', data: 'dong' });
  await ask('admit');
  await alice.next('connect');
  await alice.next('message', (m) => m.data === 'ding');
  await alice.next('room:message', (m) => m.data === 'dong');
  await delay(100); // for what should not come
  assert.equal(alice.socket.recovered, true);
  assert.equal(alice.socket.id, id);
  assert.equal(alice.count('message') + alice.count('room:message'), 0);
  assert.equal(alice.take('session')[0].id, id);
});

await check('it is in its room, and a user, still', async () => {
  await bob.emit('room:message', { room: 'tower', data: 'again' });
  await alice.next('room:message', (m) => m.data === 'again');
  await until(5000, () => 'alice is not online', async () => (await bob.people()).alice?.devices === 1);
});

await check('who has no name keeps the one that it was given', async () => {
  const nobody = await open(url, undefined, { transports: ['websocket'] });
  const { user } = nobody.session;
  nobody.heard = [];
  await ask('refuse');
  await nobody.next('disconnect');
  await ask('admit');
  await nobody.next('connect');
  assert.equal(nobody.socket.recovered, true);
  await until(5000, () => `${user} is not online`, async () => (await bob.people())[user]?.devices === 1);
});

await check('another user does not get the session', async () => {
  const carol = await open(url, 'carol', { transports: ['websocket'] });
  carol.heard = [];
  await ask('refuse');
  await carol.next('disconnect');
  carol.socket.auth = { user: 'dave' };
  await ask('admit');
  const err = await carol.next('connect_error', (e) => e.data);
  assert.deepEqual([err.message, err.data.code], ["the session is another user's", 'forbidden']);
  carol.socket.connect(); // as itself, anew
  assert.equal((await carol.next('session')).user, 'dave');
  assert.equal(carol.socket.recovered, false);
});
done();
