// Everything a client may ask of two instances, in one transport mode.
import assert from 'node:assert/strict';
import { Client, check, closeAll, done, modes, open, reached, within } from './lib.mjs';

const [mode, a, b] = process.argv.slice(2);
const options = modes[mode];
const user = (name) => `${name}-${mode}`;
const to = (url, name, more) => open(url, name && user(name), { ...options, ...more });

// each runs a check with clients of its own: pairs of instance and name. They
// begin when all of them are known on both instances.
const each = (name, pairs, f) =>
  check(name, async () => {
    try {
      const clients = await Promise.all(pairs.map(([url, who]) => to(url, who)));
      const want = {};
      for (const c of clients) want[c.user] = (want[c.user] ?? 0) + 1;
      const watchers = await Promise.all([to(a, 'watch-a'), to(b, 'watch-b')]);
      await Promise.all(watchers.map((w) => w.sees(want)));
      await f(...clients, ...watchers);
    } finally {
      closeAll();
    }
  });

await each('connect and session', [[a, 'alice'], [b, 'bob']], async (alice, bob) => {
  assert.equal(alice.session.user, user('alice'));
  assert.equal(bob.session.user, user('bob'));
  for (const c of [alice, bob]) {
    assert.ok(c.session.instance, 'the session names its instance');
    assert.equal(c.session.id, c.socket.id);
  }
  assert.notEqual(alice.session.instance, bob.session.instance);
});

await check(`the transport is ${mode}`, async () => {
  const client = new Client(a, user('alice'), options);
  const first = client.transport;
  const upgraded = new Promise((resolve) => client.socket.io.engine.once('upgrade', resolve));
  await client.next('session');
  if (mode === 'upgrade') {
    assert.equal(first, 'polling');
    await within(10_000, () => 'no upgrade', upgraded);
    assert.equal(client.transport, 'websocket');
  } else {
    assert.equal(client.transport, mode);
  }
  reached(await client.emit('message', { to: user('alice'), data: 'to myself' }), 1);
  assert.equal((await client.next('message')).data, 'to myself');
  closeAll();
});

await check('without a user everyone gets a name of their own', async () => {
  const [one, two] = await Promise.all([to(a), to(b)]);
  assert.ok(one.session.user && two.session.user);
  assert.notEqual(one.session.user, two.session.user);
  closeAll();
});

for (const [what, auth] of [['a number', { user: 42 }], ['an object', { user: {} }], ['too long', { user: 'x'.repeat(5000) }]]) {
  await check(`a user that is ${what} is refused`, async () => {
    const client = new Client(a, undefined, { ...options, auth });
    const err = await client.next('connect_error');
    assert.ok(err.message);
    assert.equal(client.socket.active, false, 'the client must not try again');
    assert.equal(client.count('session'), 0);
    closeAll();
  });
}

await check('an unknown namespace is refused', async () => {
  const client = new Client(`${a}/nowhere`, user('alice'), options);
  assert.equal((await client.next('connect_error')).message, 'Invalid namespace');
  closeAll();
});

await each('a direct message crosses', [[a, 'alice'], [b, 'bob']], async (alice, bob) => {
  for (const [from, peer] of [[alice, bob], [bob, alice]]) {
    const answer = await from.emit('message', { to: peer.user, data: { text: 'dîng 🔔', n: [1, null, 2.5] } });
    reached(answer, 1);
    const m = await peer.next('message');
    assert.deepEqual({ ...m, at: 0 }, { id: answer.id, from: from.user, data: { text: 'dîng 🔔', n: [1, null, 2.5] }, at: 0 });
    assert.ok(Math.abs(m.at - Date.now()) < 60_000, `at is in ms: ${m.at}`);
  }
});

await each('a direct message reaches every device', [[a, 'alice'], [a, 'bob'], [b, 'bob'], [b, 'bob']], async (alice, ...bobs) => {
  const answer = await alice.emit('message', { to: user('bob'), data: 'to all of you' });
  reached(answer, 3);
  for (const bob of bobs.slice(0, 3)) assert.equal((await bob.next('message')).id, answer.id);
});

await each('nobody is there: no devices', [[a, 'alice']], async (alice) => {
  const answer = await alice.emit('message', { to: user('nobody'), data: 'hello?' });
  assert.deepEqual([answer.ok, answer.devices], [true, 0]);
});

await each('messages keep their order', [[a, 'alice'], [b, 'bob']], async (alice, bob) => {
  const count = 200;
  const acks = await Promise.all(Array.from({ length: count }, (_, n) => alice.emit('message', { to: bob.user, data: n })));
  for (const answer of acks) reached(answer, 1);
  const got = [];
  for (let n = 0; n < count; n++) got.push((await bob.next('message')).data);
  assert.deepEqual(got, Array.from({ length: count }, (_, n) => n));
});

await each('a message without an ack', [[a, 'alice'], [b, 'bob']], async (alice, bob) => {
  alice.socket.emit('message', { to: bob.user, data: 'no answer wanted' });
  assert.equal((await bob.next('message')).data, 'no answer wanted');
});

await each('rooms', [[a, 'alice'], [a, 'anna'], [b, 'bob'], [b, 'ben']], async (alice, anna, bob, ben) => {
  const room = user('belfry');
  for (const c of [alice, anna, bob]) assert.deepEqual(await c.emit('room:join', room), { ok: true, room });

  const first = await bob.emit('room:message', { room, data: 'one' });
  assert.equal(first.ok, true);
  for (const c of [alice, anna, bob]) {
    const m = await c.next('room:message');
    assert.deepEqual({ ...m, at: 0 }, { id: first.id, room, from: bob.user, data: 'one', at: 0 });
    assert.ok(Math.abs(m.at - Date.now()) < 60_000);
  }

  // What a sender sends arrives in its order: who hears the direct message
  // that follows would have heard the room's.
  const silent = async (from, c) => {
    const sent = await from.emit('room:message', { room, data: 'not for you' });
    const fence = await from.emit('message', { to: c.user, data: 'fence' });
    await c.next('message', (m) => m.id === fence.id);
    assert.equal(c.count('room:message', (m) => m.id === sent.id), 0, `${c.user} is not a member`);
  };
  await silent(alice, ben);
  await silent(bob, ben);

  assert.deepEqual(await anna.emit('room:leave', room), { ok: true, room });
  await silent(bob, anna);
  await silent(alice, anna);

  const refused = await anna.emit('room:message', { room, data: 'let me in' });
  assert.deepEqual([refused.ok, refused.error.code], [false, 'not_in_room']);
  assert.ok(refused.error.message);
});

await each('what makes no sense is refused in its ack', [[a, 'alice']], async (alice) => {
  for (const args of [
    ['message'],
    ['message', { data: 'to whom?' }],
    ['message', { to: 7, data: 'x' }],
    ['message', 'text'],
    ['room:join'],
    ['room:join', 42],
    ['room:join', ''],
    ['room:message', { data: 'where?' }],
  ]) {
    const answer = await alice.emit(...args);
    assert.deepEqual([answer.ok, answer.error?.code], [false, 'invalid'], JSON.stringify(args));
    assert.ok(answer.error.message);
  }
  assert.equal((await alice.emit('presence:list')).ok, true, 'the connection lives on');
});

await each('binary data arrives as it was sent', [[a, 'alice'], [b, 'bob']], async (alice, bob) => {
  const bytes = Buffer.from(Array.from({ length: 256 }, (_, n) => n));
  const large = Buffer.alloc(300_000, 0xa5);
  const room = user('binary');
  for (const c of [alice, bob]) await c.emit('room:join', room);
  for (const data of [bytes, { file: bytes, parts: [Buffer.from([1]), 'text', { deep: Buffer.alloc(0) }] }, large]) {
    for (const [from, peer] of [[alice, bob], [bob, alice]]) {
      reached(await from.emit('message', { to: peer.user, data }), 1);
      assert.deepEqual((await peer.next('message')).data, data);
    }
    await alice.emit('room:message', { room, data });
    for (const c of [alice, bob]) assert.deepEqual((await c.next('room:message')).data, data);
  }
});

await each('a long text crosses', [[a, 'alice'], [b, 'bob']], async (alice, bob) => {
  const data = 'Glöckchen 🔔 '.repeat(20_000);
  await alice.emit('message', { to: bob.user, data });
  assert.equal((await bob.next('message')).data, data);
});

await each('presence is told on the first device and after the last', [], async (...watchers) => {
  const dora = user('dora');
  const fits = (m) => m.user === dora;
  const first = await to(a, 'dora');
  for (const w of watchers) await w.next('presence:online', fits);

  const second = await to(b, 'dora');
  for (const w of watchers) {
    const { [dora]: seen } = await w.sees({ [dora]: 2 });
    assert.deepEqual([...seen.instances].sort(), [first.session.instance, second.session.instance].sort());
    assert.equal(w.count('presence:online', fits), 0, 'a second device is no news');
  }

  first.close();
  for (const w of watchers) {
    await w.sees({ [dora]: 1 });
    assert.equal(w.count('presence:offline', fits), 0, 'one device is left');
  }

  second.close();
  for (const w of watchers) {
    await w.next('presence:offline', fits, 30_000);
    await w.sees({ [dora]: 0 });
  }
});

await each('the reason of a disconnect', [[a, 'alice']], async (alice) => {
  alice.socket.disconnect();
  assert.equal(await alice.next('disconnect'), 'io client disconnect');
  alice.socket.connect();
  alice.session = await alice.next('session');
  assert.equal((await alice.emit('presence:list')).ok, true, 'and it may come back');

  alice.socket.io.engine.close();
  assert.equal(await alice.next('disconnect'), 'forced close');
});

done();
