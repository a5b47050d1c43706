// Two instances behind a balancer, one of which stops while its clients talk:
// all of them go on with the other.
import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { ask, brief, check, done, modes, open, until, within } from './lib.mjs';

const [balancer, from, to] = process.argv.slice(2);
const each = 12; // clients of each mode

const clients = [];
for (const mode of Object.keys(modes)) {
  for (let i = 0; i < each; i++) {
    const user = `${mode}-${i}`;
    // The balancer keeps the requests of a client together by its query.
    clients.push(open(balancer, user, { ...modes[mode], query: { client: user } }));
  }
}
for (const [i, client] of clients.entries()) clients[i] = await client;
const moving = clients.filter((c) => c.session.instance === from);

await check('both instances have clients', () => {
  assert.ok(moving.length >= clients.length / 4, `only ${moving.length} are on ${from}`);
  assert.ok(moving.length <= (clients.length * 3) / 4, `only ${clients.length - moving.length} are on ${to}`);
});

// The load: each client writes to the next one, all the time, and each of its
// acks has to come, be it by the connection that ends.
let writing = true;
let answers = 0;
const lost = [];
const load = clients.map(async (client, i) => {
  for (let n = 0; writing; n++) {
    await delay(50 + Math.random() * 50);
    if (!client.socket.connected) continue;
    try {
      const answer = await client.socket.timeout(15_000).emitWithAck('message', { to: clients[(i + 1) % clients.length].user, data: n });
      assert.equal(answer.ok, true, brief(answer));
      answers++;
    } catch (err) {
      lost.push(`${client.user}: ${err.message}`);
    }
  }
});

await check('an instance that is asked to stop moves its clients', async () => {
  await delay(500);
  for (const c of clients) c.heard = [];
  await ask('stop');
  for (const c of moving) {
    const reason = await c.next('disconnect');
    // A poll that was on its way as the session ended is refused.
    assert.ok(['transport close', 'transport error'].includes(reason), `${c.user}: ${reason}`);
    c.session = await c.next('session', undefined, 20_000);
    assert.equal(c.session.instance, to, `${c.user} came back to ${c.session.instance}`);
  }
});

await check('nobody was refused, nor moved twice, nor anybody else', () => {
  for (const c of clients) {
    assert.equal(c.count('connect_error'), 0, `${c.user}: ${brief(c.heard.filter(([e]) => e === 'connect_error'))}`);
    assert.equal(c.count('disconnect'), 0, `${c.user} was disconnected once more`);
  }
});

await check('all are there and hear each other', async () => {
  await clients[0].sees(Object.fromEntries(clients.map((c) => [c.user, 1])), 20_000);
  for (const [i, c] of clients.entries()) {
    const answer = await c.emit('message', { to: clients[(i + 1) % clients.length].user, data: 'after' });
    assert.equal(answer.devices, 1, brief(answer));
    await clients[(i + 1) % clients.length].next('message', (m) => m.id === answer.id);
  }
});

await check('what was under way was answered', async () => {
  writing = false;
  await within(20_000, () => 'the load does not end', Promise.all(load));
  await until(1, () => `only ${answers} answers`, () => answers > clients.length);
  // A client that wrote as the end of its connection was on its way has lost
  // that: no more than the one that each had under way.
  assert.ok(lost.length <= moving.length, `${lost.length} of ${answers + lost.length} lost: ${brief(lost.slice(0, 3))}`);
});

done();
