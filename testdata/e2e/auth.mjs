// Tokens: who gets in, what a token lets one do, and what happens at its end.
// The instances warn 2 seconds before an identity expires, and have no leeway.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { Client, check, closeAll, done, modes, open, reached } from './lib.mjs';

const [mode, a, b, secret] = process.argv.slice(2);
const options = modes[mode];

const base64url = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');

// sign makes a token, of which every part can be wrong.
function sign(claims, { header = { alg: 'HS256', typ: 'JWT' }, key = secret, hash = 'sha256' } = {}) {
  const text = `${base64url(header)}.${base64url(claims)}`;
  return `${text}.${key === null ? '' : createHmac(hash, key).update(text).digest('base64url')}`;
}
const now = () => Math.floor(Date.now() / 1000);
const token = (sub, claims = {}, ttl = 60) => sign({ sub, exp: now() + ttl, ...claims });
const enter = (url, sub, claims, ttl) => open(url, sub, { ...options, auth: { token: token(sub, claims, ttl) } });

// each runs a check and closes its clients.
const each = (name, f) =>
  check(name, async () => {
    try {
      await f();
    } finally {
      closeAll();
    }
  });

async function refused(auth, code, more = {}) {
  const client = new Client(more.url ?? a, 'nobody', { ...options, auth, ...more });
  const err = await client.next('connect_error');
  assert.deepEqual([err.data?.code, client.socket.active], [code, false], `${err.message}: the client must not try again`);
  assert.equal(client.count('session'), 0);
  client.close();
  return err.message;
}

for (const [name, auth, code] of [
  ['nothing', {}, 'unauthorized'],
  ["a user's word", { user: 'alice' }, 'unauthorized'],
  ['text', { token: 'let me in' }, 'unauthorized'],
  ['a token of the algorithm none', { token: sign({ sub: 'alice', exp: now() + 60 }, { header: { alg: 'none' }, key: null }) }, 'unauthorized'],
  ['a forged token', { token: sign({ sub: 'alice', exp: now() + 60 }, { key: 'another secret, of as many bytes' }) }, 'unauthorized'],
  ['another algorithm', { token: sign({ sub: 'alice', exp: now() + 60 }, { header: { alg: 'HS512' }, hash: 'sha512' }) }, 'unauthorized'],
  ['a token without an end', { token: sign({ sub: 'alice' }) }, 'unauthorized'],
  ['an expired token', { token: token('alice', {}, -1) }, 'token_expired'],
  ['a number', { token: 5 }, 'invalid'],
]) {
  await each(`${name} is refused`, () => refused(auth, code));
}

await each('who was refused may come back with a token', async () => {
  const client = new Client(a, 'alice', { ...options, auth: {} });
  await client.next('connect_error');
  client.socket.auth = { token: token('alice') };
  client.socket.connect();
  assert.equal((await client.next('session')).user, 'alice');
});

await each('a token is enough, on every instance', async () => {
  const [alice, bob] = await Promise.all([enter(a, 'alice', { device: 'phone' }), enter(b, 'bob')]);
  assert.deepEqual([alice.session.user, alice.session.device, bob.session.user], ['alice', 'phone', 'bob']);
  await alice.sees({ alice: 1, bob: 1 });
  reached(await alice.emit('message', { to: 'bob', data: 'hello' }), 1);
  assert.equal((await bob.next('message')).from, 'alice');
});

await each('a token may be in a header', async () => {
  const client = await open(a, undefined, { ...options, auth: undefined, extraHeaders: { Authorization: `Bearer ${token('carol')}` } });
  assert.equal(client.session.user, 'carol');
});

await each('a token says what its bearer may do', async () => {
  const limited = await enter(a, 'dan', { rooms: ['lobby', 'dm:{user}:*'], can: ['message'] });
  const watcher = await enter(a, 'watch');
  const code = async (...args) => {
    const answer = await limited.emit(...args);
    return answer.ok ? 'ok' : answer.error.code;
  };
  assert.equal(await code('room:join', 'lobby'), 'ok');
  assert.equal(await code('room:join', 'dm:dan:eve'), 'ok');
  assert.equal(await code('room:join', 'dm:eve:dan'), 'forbidden');
  assert.equal(await code('room:join', 'lobby2'), 'forbidden');
  assert.equal(await code('room:message', { room: 'lobby', data: 1 }), 'forbidden');
  assert.equal(await code('presence:list'), 'forbidden');
  assert.equal(await code('message', { to: 'dan', data: 1 }), 'ok');
  // It is not told of others either: what it gets comes in order.
  const come = await enter(a, 'erin');
  await watcher.next('presence:online', (m) => m.user === 'erin');
  assert.equal(await code('message', { to: 'dan', data: 'fence' }), 'ok');
  await limited.next('message', (m) => m.data === 'fence');
  assert.equal(limited.count('presence:online'), 0);
  come.close();
});

await each('a token says which namespaces its bearer may enter', async () => {
  const auth = { token: token('fay', { namespaces: ['/', '/team-red'] }) };
  const red = await open(`${a}/team-red`, 'fay', { ...options, auth });
  assert.equal(red.session.user, 'fay');
  await refused(auth, 'forbidden', { url: `${a}/team-blue` });
  const other = await open(`${b}/team-red`, 'gus', { ...options, auth: { token: token('gus') } });
  const answer = await other.emit('message', { to: 'fay', data: 'in the team' });
  reached(answer, 1);
  assert.equal((await red.next('message')).from, 'gus');
  const unknown = new Client(`${a}/nowhere`, 'fay', { ...options, auth });
  assert.equal((await unknown.next('connect_error')).message, 'Invalid namespace');
});

await each('a token that ends is announced, and may be refreshed', async () => {
  const alice = await enter(a, 'alice', { rooms: ['old', 'both'] }, 4);
  const ends = Date.now() + 4000;
  for (const room of ['old', 'both']) assert.equal((await alice.emit('room:join', room)).ok, true);
  const { at, in: left } = await alice.next('auth:expiring');
  assert.ok(Math.abs(at - ends) < 1500 && left > 0 && left <= 2000, `at ${at - ends}, in ${left}`);

  for (const [arg, code] of [
    [{ token: token('bob') }, 'forbidden'],
    [{ token: sign({ sub: 'alice', exp: now() + 60 }, { key: 'another secret, of as many bytes' }) }, 'unauthorized'],
    [{}, 'unauthorized'],
    [undefined, 'unauthorized'],
  ]) {
    const answer = await alice.emit('auth:refresh', arg);
    assert.deepEqual([answer.ok, answer.error?.code], [false, code]);
  }
  const exp = now() + 60;
  assert.deepEqual(await alice.emit('auth:refresh', { token: sign({ sub: 'alice', exp, rooms: ['both'] }) }), { ok: true, expires: exp * 1000 });
  await delay(Math.max(0, ends - Date.now()) + 1500);
  assert.equal(alice.count('disconnect'), 0);
  assert.equal(alice.count('auth:expiring'), 0, 'nor is it announced again');
  assert.equal((await alice.emit('room:message', { room: 'both', data: 1 })).ok, true);
  assert.equal((await alice.emit('room:message', { room: 'old', data: 1 })).error.code, 'not_in_room', 'a room that it lost');
});

await each('a token that ends takes the connection with it', async () => {
  const [alice, bob] = await Promise.all([enter(a, 'alice', {}, 3), enter(a, 'bob')]);
  await bob.sees({ alice: 1 });
  await alice.next('auth:expiring');
  assert.equal((await alice.next('auth:expired')).code, 'token_expired');
  assert.equal(await alice.next('disconnect'), 'io server disconnect');
  await bob.sees({ alice: 0 });
  assert.equal(bob.count('disconnect'), 0);
});

done();
