// Who is online, on three instances of which one after the other crashes, hangs
// and is replaced, and whose broker is.
import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { ask, brief, check, done, open, until } from './lib.mjs';

const [a, b, c, broker] = process.argv.slice(2);
const edges = ['presence:online', 'presence:offline'];

// heard returns what a client heard of users, as "+bob" and "-bob".
const heard = (client) =>
  client.heard.filter(([event]) => edges.includes(event)).map(([event, { user }]) => (event === edges[0] ? '+' : '-') + user);

// quiet forgets what was heard so far.
const quiet = (...clients) => clients.forEach((client) => (client.heard = []));

const alice = await open(a, 'alice');
const bob = await open(b, 'bob');
const doraAtB = await open(b, 'dora');
const doraAtC = await open(c, 'dora');
const carol = await open(c, 'carol');
const everyone = { alice: 1, bob: 1, carol: 1, dora: 2 };

await check('everyone sees everyone', async () => {
  for (const client of [alice, bob, carol]) await client.sees(everyone);
});

await check('the state is told first, with the number that changes follow', async () => {
  const late = await open(a, 'late');
  const told = () => late.heard.filter(([event]) => event.startsWith('presence:'));
  await until(30_000, () => brief(late.heard), () => told().length > 0);
  const [first] = told();
  assert.equal(first[0], 'presence:state', brief(late.heard));
  assert.equal(first[1].mode, 'all');
  const { user, seq } = await late.next('presence:online', (m) => m.user === 'late');
  assert.equal(user, 'late');
  assert.ok(seq > first[1].seq, `${seq} follows ${first[1].seq}`);
  late.close();
  for (const client of [alice, bob, carol]) await client.next('presence:offline', (m) => m.user === 'late');
});

await check('a status is seen on all instances', async () => {
  assert.deepEqual(await bob.emit('presence:update', { status: 'away' }), { ok: true });
  for (const client of [alice, carol]) {
    assert.equal((await client.next('presence:status', (m) => m.user === 'bob')).status, 'away');
  }
  const { users } = await carol.emit('presence:get', ['bob', 'nobody']);
  assert.deepEqual(users.map((u) => [u.user, u.online, u.status]), [['bob', true, 'away'], ['nobody', false, undefined]]);
  await bob.emit('presence:update', { status: '' });
});

await check('a device that comes back elsewhere replaces its older socket', async () => {
  const auth = (name) => ({ auth: { user: name, device: 'phone' } });
  const old = await open(a, 'eve', auth('eve'));
  await bob.next('presence:online', (m) => m.user === 'eve');
  quiet(bob);
  const fresh = await open(b, 'eve', auth('eve'));
  const replaced = await old.next('session:replaced');
  assert.deepEqual(replaced, { device: 'phone', instance: fresh.session.instance });
  assert.equal(await old.next('disconnect'), 'io server disconnect');
  await until(5000, () => 'the device is counted twice', async () => (await alice.people()).eve?.devices === 1);
  assert.deepEqual(heard(bob), [], 'the user was online all the time');
  assert.equal(fresh.count('disconnect'), 0);
  fresh.close();
  old.close();
  for (const client of [alice, bob, carol]) await client.next('presence:offline', (m) => m.user === 'eve');
});

await check('a reconnect within the grace is silent', async () => {
  quiet(alice, carol);
  bob.socket.io.engine.close(); // as if the network had gone
  bob.session = await bob.next('session');
  await delay(9000); // longer than the grace
  for (const client of [alice, carol]) assert.deepEqual(heard(client), []);
  await alice.sees(everyone);
});

await check('a crashed instance takes its users with it, and nobody else', async () => {
  quiet(alice, bob);
  await ask('kill c');
  const start = Date.now();
  carol.close();
  doraAtC.close();
  for (const client of [alice, bob]) await client.next('presence:offline', (m) => m.user === 'carol', 12_000);
  assert.ok(Date.now() - start < 10_500, `it took ${Date.now() - start} ms`);
  for (const client of [alice, bob]) {
    assert.deepEqual(heard(client), []);
    await client.sees({ alice: 1, bob: 1, carol: 0, dora: 1 });
  }
  await ask('start c');
});

const dan = await open(c, 'dan');
for (const client of [alice, bob, dan]) await client.next('presence:online', (m) => m.user === 'dan');
await dan.sees({ alice: 1, bob: 1, dan: 1, dora: 1 }, 20_000); // c has just started
await delay(1000); // longer than changes are gathered

await check('an instance that hangs leaves no ghost', async () => {
  quiet(alice, dan);
  await ask('freeze b');
  await delay(2000);
  doraAtB.socket.io.engine.close(); // b does not see it
  doraAtB.close();
  await delay(8000);
  await ask('thaw b');
  for (const client of [alice, dan, bob]) await client.sees({ alice: 1, bob: 1, dan: 1, dora: 0 }, 20_000);
  for (const client of [alice, dan]) {
    const others = heard(client).filter((edge) => !/bob|dora/.test(edge));
    assert.deepEqual(others, [], 'only users of the instance that hung were concerned');
    const last = new Map();
    for (const edge of heard(client)) {
      const [sign, user] = [edge[0], edge.slice(1)];
      assert.notEqual(last.get(user), sign, `online and offline alternate: ${heard(client)}`);
      last.set(user, sign);
    }
  }
});

await check('a rolling restart is not seen', async () => {
  const clients = { a: alice, b: bob, c: dan };
  for (const name of Object.keys(clients)) {
    const others = Object.keys(clients).filter((other) => other !== name).map((other) => clients[other]);
    quiet(...Object.values(clients));
    await ask(`stop ${name}`);
    await ask(`start ${name}`);
    clients[name].session = await clients[name].next('session', undefined, 20_000);
    await delay(9000);
    for (const client of others) assert.deepEqual(heard(client), [], `${name} was restarted`);
    for (const client of Object.values(clients)) await client.sees({ alice: 1, bob: 1, dan: 1 }, 15_000);
  }
});

if (broker) {
  await check('a broker that comes back empty is not seen', async () => {
    quiet(alice, bob, dan);
    await ask('restart broker');
    for (const client of [alice, bob, dan]) await client.sees({ alice: 1, bob: 1, dan: 1 }, 30_000);
    const late = await open(a, 'late');
    for (const client of [bob, dan]) await client.next('presence:online', (m) => m.user === 'late', 30_000);
    for (const client of [bob, dan]) assert.deepEqual(heard(client), []);
    late.close();
  });
}

done();
