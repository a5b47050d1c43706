// Clients whose instance ends under them, in order and not, and comes back.
import assert from 'node:assert/strict';
import { ask, check, done, modes, open, reached } from './lib.mjs';

const [mode, a, b] = process.argv.slice(2);
const user = (name) => `${name}-${mode}`;
const alice = await open(a, user('alice'), modes[mode]);
const bob = await open(b, user('bob'), modes[mode]);
await alice.sees({ [bob.user]: 1 });
await bob.sees({ [alice.user]: 1 });

async function crosses() {
  for (const [from, to] of [[alice, bob], [bob, alice]]) {
    await from.sees({ [to.user]: 1 });
    const answer = await from.emit('message', { to: to.user, data: 'ding' });
    reached(answer, 1);
    await to.next('message', (m) => m.id === answer.id);
  }
}

async function backOnline() {
  bob.session = await bob.next('session', undefined, 20_000);
  for (const c of [alice, bob]) await c.sees({ [alice.user]: 1, [bob.user]: 1 }, 20_000);
}

await check('messages cross', crosses);

await check('an instance that stops disconnects its clients', async () => {
  bob.heard = [];
  await ask('stop b');
  const reason = await bob.next('disconnect');
  assert.ok(['transport close', 'transport error'].includes(reason), `reason ${reason}`);
  assert.equal(bob.socket.active, true, 'the client tries to come back');
  assert.equal(alice.count('disconnect'), 0);
});

await check('they come back with it', async () => {
  await ask('start b');
  await backOnline();
  await crosses();
});

await check('an instance that is killed is noticed', async () => {
  alice.heard = [];
  bob.heard = [];
  await ask('kill b');
  assert.ok(['transport close', 'transport error'].includes(await bob.next('disconnect')));
  await alice.next('presence:offline', (m) => m.user === bob.user, 30_000);
  await alice.sees({ [bob.user]: 0 });
  const answer = await alice.emit('message', { to: bob.user, data: 'gone?' });
  assert.equal(answer.devices, 0);
});

await check('and its clients are heard of again', async () => {
  await ask('start b');
  await backOnline();
  await alice.next('presence:online', (m) => m.user === bob.user);
  await crosses();
  assert.equal(alice.count('disconnect'), 0, 'the other instance never dropped its own');
});

done();
