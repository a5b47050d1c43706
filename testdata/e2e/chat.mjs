// Two clients who talk without a break while the test does its worst.
import assert from 'node:assert/strict';
import { ask, brief, check, done, open, reached, until } from './lib.mjs';

const [a, b] = process.argv.slice(2);
const alice = await open(a, 'alice');
const bob = await open(b, 'bob');
await alice.sees({ bob: 1 });
await bob.sees({ alice: 1 });

let over = false;
let sent = 0;
let slowest = 0;

await check('a chat is not disturbed', async () => {
  const worst = ask('worst').finally(() => (over = true));
  // Some more after the worst, too: what it left behind may show late.
  for (let more = 50; more > 0; more -= over ? 1 : 0) {
    const start = Date.now();
    for (const [from, to] of [[alice, bob], [bob, alice]]) {
      reached(await from.emit('message', { to: to.user, data: sent }), 1);
      assert.equal((await to.next('message')).data, sent, 'in order, none lost, none twice');
    }
    sent++;
    slowest = Math.max(slowest, Date.now() - start);
  }
  await worst;
  for (const c of [alice, bob]) {
    assert.equal(c.count('disconnect'), 0);
    assert.equal(c.count('message'), 0);
  }
  assert.ok(slowest < 5000, `a round took ${slowest} ms`);
});

await check('nobody else is here', async () => {
  let people;
  await until(30_000, () => `somebody stayed: ${brief(people)}`, async () => {
    people = await alice.people();
    return Object.keys(people).sort().join() === 'alice,bob';
  });
});

done();
