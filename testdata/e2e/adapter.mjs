// All of Socket.IO's cluster API that a client can see, on three nodes with a
// client each. The clients have their nodes do things with "do".
import assert from 'node:assert/strict';
import { Client, check, done, until } from './lib.mjs';

const urls = process.argv.slice(2);
const names = ['n0', 'n1', 'n2'];
const connect = (url, name, auth) => new Client(url, name, { auth, transports: ['websocket'] });
const clients = urls.map((url, i) => connect(url, names[i], { rooms: ['all', `r${i}`], data: { index: i } }));
for (const c of clients) await c.next('connect');
const [a, b, c] = clients;
const ids = clients.map((client) => client.socket.id);

// run has a node do something, and resolves with what came of it.
async function run(client, what) {
  const got = await client.emit('do', what);
  assert.ok(!('ok' in got), `${client.user}: ${JSON.stringify(got)}`);
  return got;
}

// hear checks what each of the clients hears, until a last event comes that
// its node sends behind all else.
let round = 0;
async function hear(by, ...want) {
  const last = `last ${round++}`;
  await run(by, { op: 'emit', event: last });
  for (const [i, client] of clients.entries()) {
    await client.next(last);
    const got = client.heard.splice(0);
    assert.deepEqual(got, want[i] ?? want[0], `${client.user}'s client`);
  }
}

await check('emit to all, and types are kept', async () => {
  for (const from of clients) {
    await run(from, { op: 'emit', event: 'all', args: [1, '2', Buffer.from([3, 4, 5]), { deep: [Buffer.from([6])] }, null] });
    await hear(from, [['all', 1, '2', Buffer.from([3, 4, 5]), { deep: [Buffer.from([6])] }, null]]);
  }
});

await check('of a namespace', async () => {
  const others = urls.map((url, i) => connect(`${url}/other`, `other ${i}`, { rooms: [] }));
  for (const o of others) await o.next('connect');
  await run(a, { op: 'emit', namespace: '/other', event: 'other' });
  for (const o of others) await o.next('other');
  await hear(a, []);
  for (const o of others) {
    assert.deepEqual(o.heard, []);
    o.close();
  }
});

await check('to rooms, except rooms, each at most once', async () => {
  await run(a, { op: 'emit', rooms: ['r1'], event: 'r1' });
  await run(a, { op: 'emit', rooms: ['r1', 'r2', 'all'], except: ['r0'], event: 'union' });
  await run(a, { op: 'emit', except: ['r1'], event: 'not r1' });
  await run(a, { op: 'emit', rooms: ['nobody'], event: 'nobody' });
  await hear(a, [['not r1']], [['r1'], ['union']], [['union'], ['not r1']]);
});

await check('to one socket of another node', async () => {
  for (const from of clients) {
    await run(from, { op: 'emit', rooms: [ids[2]], event: 'one' });
    await hear(from, [], [], [['one']]);
  }
});

await check('local', async () => {
  await run(b, { op: 'emit', local: true, event: 'local' });
  await hear(b, [], [['local']], []);
});

await check('volatile', async () => {
  await run(b, { op: 'emit', volatile: true, event: 'volatile' });
  await hear(b, [['volatile']]);
});

// answer has clients acknowledge what asks them.
function answer(value, who = clients) {
  for (const client of who) client.socket.once('ask', (...args) => args.at(-1)(value(client)));
}

await check('acknowledgements of all', async () => {
  answer((client) => client.user);
  const got = await run(a, { op: 'ask', event: 'ask', args: ['?'] });
  assert.deepEqual({ ...got, answers: got.answers.flat().sort() }, { answers: names });
  for (const client of clients) client.heard = [];
});

await check('acknowledgements that are binary', async () => {
  answer(() => Buffer.from([7, 8]));
  const got = await run(b, { op: 'ask', event: 'ask' });
  assert.deepEqual(got, { answers: Array(3).fill([Buffer.from([7, 8])]) });
  for (const client of clients) client.heard = [];
});

await check('acknowledgements of nobody, at once', async () => {
  const start = Date.now();
  assert.deepEqual(await run(a, { op: 'ask', rooms: ['nobody'], event: 'ask', timeout: 8000 }), { answers: [] });
  assert.ok(Date.now() - start < 4000);
});

await check('one who is silent is counted, with the answers of the others', async () => {
  answer((client) => client.user, [a, b]);
  const got = await run(a, { op: 'ask', event: 'ask', timeout: 1000 });
  assert.deepEqual(got.answers.flat().sort(), ['n0', 'n1']);
  assert.deepEqual(got.missing, [{ node: 'n2', sockets: 1 }]);
  for (const client of clients) client.heard = [];
});

await check('one who leaves is not waited for', async () => {
  const d = connect(urls[1], 'leaver', { rooms: ['leavers'] });
  await d.next('connect');
  d.socket.once('ask', () => d.close());
  const start = Date.now();
  const got = await run(a, { op: 'ask', rooms: ['leavers'], event: 'ask', timeout: 8000 });
  assert.deepEqual(got, { answers: [], missing: [{ node: 'n1', sockets: 1 }], error: got.error });
  assert.ok(Date.now() - start < 4000);
});

await check('the acknowledgement of one socket, of this node and of another', async () => {
  for (const i of [0, 2]) {
    answer((client) => client.user, [clients[i]]);
    const got = await run(a, { op: 'ask one', rooms: [ids[i]], event: 'ask' });
    assert.deepEqual(got, { answers: [[names[i]]] });
    clients[i].heard = [];
  }
});

const rooms = async (client) => Object.fromEntries((await run(client, { op: 'fetch' })).sockets.map((s) => [s.id, s.rooms]));

await check('sockets join and leave', async () => {
  await run(a, { op: 'join', to: ['x', 'y'] });
  await run(a, { op: 'join', rooms: ['r1'], to: ['of r1'] });
  await run(a, { op: 'join', rooms: [ids[2]], to: ['of 2'] });
  await run(a, { op: 'leave', rooms: ['r0'], to: ['y'] });
  assert.deepEqual(await rooms(a), {
    [ids[0]]: ['all', 'r0', 'x', ids[0]].sort(),
    [ids[1]]: ['all', 'of r1', 'r1', 'x', 'y', ids[1]].sort(),
    [ids[2]]: ['all', 'of 2', 'r2', 'x', 'y', ids[2]].sort(),
  });
  await run(a, { op: 'leave', to: ['x', 'y', 'of r1', 'of 2'] });
  assert.deepEqual((await rooms(a))[ids[2]], ['all', 'r2', ids[2]].sort());
});

await check('what follows a join is heard', async () => {
  for (let i = 0; i < 50; i++) await run(a, { op: 'join, emit, leave', rooms: [ids[2]], to: ['race'], event: `race ${i}` });
  await hear(a, [], [], Array.from({ length: 50 }, (_, i) => [`race ${i}`]));
});

await check('sockets are fetched: all, some, local', async () => {
  const { sockets } = await run(b, { op: 'fetch' });
  assert.equal(sockets.length, 3);
  for (const [i, id] of ids.entries()) {
    const s = sockets.find((socket) => socket.id === id);
    assert.equal(s.node, names[i]);
    assert.deepEqual(s.rooms, ['all', `r${i}`, id].sort());
    assert.deepEqual(s.data, { index: i });
    assert.equal(s.handshake.query.EIO, '4');
    assert.deepEqual(s.handshake.auth, { rooms: ['all', `r${i}`], data: { index: i } });
    for (const key of ['headers', 'time', 'address', 'xdomain', 'secure', 'issued', 'url']) assert.ok(key in s.handshake, key);
  }
  assert.deepEqual((await run(b, { op: 'fetch', rooms: [ids[2]] })).sockets.map((s) => s.id), [ids[2]]);
  assert.deepEqual((await run(b, { op: 'fetch', local: true })).sockets.map((s) => s.id), [ids[1]]);
  assert.deepEqual((await run(b, { op: 'fetch', rooms: ['nobody'] })).sockets, []);
});

await check('rooms of all nodes, and counts', async () => {
  assert.deepEqual((await run(c, { op: 'rooms' })).rooms, { all: 3, r0: 1, r1: 1, r2: 1 });
  assert.equal((await run(c, { op: 'count', rooms: ['r0', 'r1'] })).count, 2);
});

await check('server-side emit: every other node, not this one', async () => {
  await run(b, { op: 'tell', event: 'heard', args: [1, 'two', Buffer.from([3])] });
  for (const client of [a, c]) {
    await client.next('server heard');
    assert.equal(client.count('server heard'), 0, 'once');
  }
  await hear(b, []);
});

await check('server-side emit with acknowledgements', async () => {
  const got = await run(b, { op: 'ask servers', event: 'who' });
  assert.deepEqual(got.servers.sort((x, y) => (x.node < y.node ? -1 : 1)), [
    { node: 'n0', args: ['I am n0', Buffer.from([0])] },
    { node: 'n2', args: ['I am n2', Buffer.from([2])] },
  ]);
  assert.equal(got.missing, undefined);
});

await check('server-side emit with a server that is silent', async () => {
  const got = await run(b, { op: 'ask servers', event: 'not n2', timeout: 1000 });
  assert.deepEqual(got.servers, [{ node: 'n0', args: [] }]);
  assert.deepEqual(got.missing, [{ node: 'n2', sockets: 0 }]);
});

await check('5 MB reach everybody', async () => {
  const large = Buffer.alloc(5_000_000, 'carillon');
  await run(a, { op: 'emit large', event: 'large', size: large.length });
  for (const client of clients) {
    const got = await client.next('large', undefined, 30_000);
    assert.ok(large.equals(got), `${client.user} got something else`);
  }
});

await check('an event, and a disconnection after it', async () => {
  await run(a, { op: 'emit, disconnect', rooms: ['r1', 'r2'], event: 'bye' });
  for (const client of [b, c]) {
    assert.equal(await client.next('disconnect'), 'io server disconnect');
    assert.deepEqual(client.heard.splice(0), [['bye']]);
    assert.equal(client.socket.active, false);
  }
  await until(10_000, () => 'they are still there', async () => (await run(a, { op: 'fetch' })).sockets.length === 1);
});

done();
