// A client that is cut off again and again, while another says so much to it
// that something is always missed. Of Node's server it tells what came.
import assert from 'node:assert/strict';
import { io } from 'socket.io-client';
import { ask, check, done, modes, result, until } from './lib.mjs';

const [whose, mode, url, direct, rate, cuts] = process.argv.slice(2);
const options = { forceNew: true, reconnectionDelay: 200, reconnectionDelayMax: 400, timeout: 2000 };
const alice = io(url, { ...options, ...modes[mode], auth: { user: 'alice' } });
const bob = io(direct, { ...options, transports: ['websocket'], auth: { user: 'bob' } });
await until(10_000, () => 'not connected', () => alice.connected && bob.connected);

let last = 0;
let seen = new Uint8Array(1 << 20);
let came = 0;
let doubled = 0;
const disorder = [];
alice.on('message', ({ data: n }) => {
  if (seen[n]++) doubled++;
  else came++;
  if (n !== last + 1) disorder.push(`${n} after ${last}`);
  last = n;
});
let back = 0;
let recovered = 0;
alice.on('connect', () => {
  back++;
  if (alice.recovered) recovered++;
});

// A link that is frozen is noticed late. As an application that knows better
// would, the client tries anew when nothing has come for a second.
let before = 0;
setInterval(() => {
  if (last === before && alice.connected) alice.io.engine.close();
  before = last;
}, 1000);

let sent = 0;
const begun = Date.now();
const sending = setInterval(() => {
  for (const due = ((Date.now() - begun) * rate) / 1000; sent < due;) bob.emit('message', { to: 'alice', data: ++sent });
}, 10);
for (let i = 0; i < cuts; i++) {
  const n = back;
  await ask('cut');
  await until(20_000, () => `not back after cut ${i + 1}`, () => back > n && alice.connected);
}
clearInterval(sending);
const took = (Date.now() - begun) / 1000;
await until(15_000, () => '', () => last === sent).catch(() => {});

const missing = sent - came;
result(`${whose}: ${sent} messages, ${Math.round(sent / took)}/s, in ${took.toFixed(0)} s with ${cuts} cuts (${mode}): ` +
  `${came} came (${((came / sent) * 100).toFixed(3)} %), ${missing} are missing, ${doubled} came twice, ` +
  `${disorder.length} out of order or behind a hole; ${recovered} of ${back} reconnects recovered`);
if (whose === 'Carillon') {
  await check('each message came once and in order', () => {
    assert.deepEqual(disorder.slice(0, 5), []);
    assert.deepEqual([missing, doubled, sent], [0, 0, last]);
    assert.ok(sent > (took * rate) / 2, 'too few were sent');
  });
  await check('each time the client was recovered', () => {
    assert.equal(recovered, back);
    assert.ok(back >= cuts);
  });
}
done();
