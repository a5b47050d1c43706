// A client that is cut off again and again, under load.
import assert from 'node:assert/strict';
import { io } from 'socket.io-client';
import { ask, check, done, within } from './lib.mjs';

const [url] = process.argv.slice(2);
const socket = io(url, { transports: ['websocket'], reconnectionDelay: 200, reconnectionDelayMax: 400, timeout: 1000 });
await new Promise((ok) => socket.once('connect', ok));

let last = 0;
const wrong = [];
let reconnects = 0;
let recovered = 0;
socket.on('n', (n) => {
  if (n !== last + 1) wrong.push(`${n} after ${last}`);
  last = n;
});
socket.on('connect', () => {
  reconnects++;
  if (socket.recovered) recovered++;
});
// A link that is frozen is noticed late. As an application that knows better
// would, the client tries anew when nothing has come for half a second.
let seen = 0;
setInterval(() => {
  if (last === seen && socket.connected) socket.io.engine.close();
  seen = last;
}, 500);

const end = new Promise((ok) => socket.on('end', ok));
await ask('begin');
const sent = await within(90_000, () => `no end, ${last} came`, end);
await check('each message came once and in order', () => {
  assert.deepEqual(wrong, []);
  assert.equal(last, sent);
});
await check('each time the client was recovered', () => {
  assert.ok(reconnects >= 6, `${reconnects} reconnects`);
  assert.equal(recovered, reconnects);
});
done();
