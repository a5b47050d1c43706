// A broker that comes back empty under three instances is not seen by those
// who watch presence.
import assert from 'node:assert/strict';
import { ask, brief, check, done, open } from './lib.mjs';

const urls = process.argv.slice(2);
const names = ['alice', 'bob', 'carol'];
const clients = await Promise.all(urls.map((url, i) => open(url, names[i])));
const edges = (client) => client.heard.filter(([event]) => ['presence:online', 'presence:offline'].includes(event));

await check('everyone sees everyone', async () => {
  for (const client of clients) await client.sees({ alice: 1, bob: 1, carol: 1 });
});

await check('a broker that comes back empty is not seen', async () => {
  for (const client of clients) client.heard = [];
  await ask('restart broker');
  const late = await open(urls[0], 'late');
  for (const client of clients) await client.next('presence:online', (m) => m.user === 'late', 60_000);
  for (const client of clients) {
    assert.deepEqual(edges(client), [], brief(client.heard));
    await client.sees({ alice: 1, bob: 1, carol: 1, late: 1 });
  }
  late.close();
});

done();
