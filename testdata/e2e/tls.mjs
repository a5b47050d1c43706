// A client that trusts one certificate talks over it, in every transport mode.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { check, closeAll, done, modes, open, reached } from './lib.mjs';

const [url, certificate] = process.argv.slice(2);
const ca = readFileSync(certificate);

for (const [mode, options] of Object.entries(modes)) {
  await check(mode, async () => {
    try {
      // Its own in each run: one that ended amid its upgrade is missed only later.
      const user = `${mode}-${process.pid}`;
      const client = await open(url, user, { ...options, ca });
      reached(await client.emit('message', { to: user, data: 'to myself' }), 1);
      assert.equal((await client.next('message')).from, user);
    } finally {
      closeAll();
    }
  });
}

done();
