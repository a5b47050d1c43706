// A client that loses its connection in all ways, and another that sees to what
// happens meanwhile.
import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { io } from 'socket.io-client';
import { ask, brief, check, done, modes, until, within } from './lib.mjs';

const [mode, url, direct, servers] = process.argv.slice(2);
// What two servers say, or one says to all and to one, has no order.
const several = Number(servers) > 1;
const ordered = (events) => (several ? [...events].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)) : events);
const control = io(`${direct}/control`, { transports: ['websocket'] });
const order = async (what, fields = {}) => {
  const answer = await control.timeout(5000).emitWithAck('do', { do: what, namespace: '/', ...fields });
  assert.ok(!answer?.error, `${what}: ${JSON.stringify(answer)}`);
  return answer;
};

// A Guest keeps what it hears, without the offset behind it.
class Guest {
  heard = [];
  all = [];

  constructor(namespace = '/', manager) {
    this.namespace = namespace;
    this.socket = manager
      ? manager.socket(namespace)
      : io(url + namespace, {
        ...modes[mode], forceNew: true, reconnectionDelay: 50, reconnectionDelayMax: 200, timeout: 2000,
      });
    this.socket.onAny((event, ...args) => {
      if (typeof args.at(-1) === 'function') args.pop()('answer');
      else args.pop();
      this.heard.push([event, ...args]);
      this.all.push([event, ...args]);
    });
  }

  async connected() {
    await until(10_000, () => `not connected (${mode})`, () => this.socket.connected);
    if (mode === 'upgrade') {
      await until(5000, () => 'no upgrade', () => this.socket.io.engine.transport.name === 'websocket');
    }
    this.id = this.socket.id;
    return this;
  }

  emit(event, ...args) {
    return order('direct', { namespace: this.namespace, id: this.id, event, args });
  }

  // lose has the connection end, does something meanwhile, and comes back.
  async lose(how, meanwhile = () => {}) {
    const lost = new Promise((ok) => this.socket.once('disconnect', ok));
    if (how === 'freeze') {
      await ask('freeze');
      this.socket.io.engine.close(); // the server does not hear of it
    } else {
      // Between two polls there is nothing that could end.
      let noticed = false;
      lost.then(() => { noticed = true; });
      for (let i = 0; i < 10 && !noticed; i++) {
        await ask(how);
        await Promise.race([lost, delay(500)]);
      }
    }
    await within(5000, () => `${how} was not noticed`, lost);
    await meanwhile();
    if (how === 'refuse') await ask('admit');
    await until(10_000, () => 'not back', () => this.socket.connected);
  }

  async hears(...events) {
    await until(5000, () => `heard ${JSON.stringify(this.heard)}, not ${JSON.stringify(events)}`,
      () => this.heard.length >= events.length);
    await delay(20); // for what should not come
    assert.deepEqual(ordered(this.heard.splice(0)), ordered(events));
  }

  recovered(want = true) {
    assert.equal(this.socket.recovered, want, 'recovered');
    assert.equal(this.socket.id === this.id, want, 'same id');
    this.id = this.socket.id;
  }

  close() {
    this.socket.disconnect();
  }
}

const guest = (...args) => new Guest(...args).connected();

for (const how of ['reset', 'finish', 'freeze', 'refuse']) {
  await check(`${how}: what was missed comes once and in order`, async () => {
    const g = await guest();
    await g.emit('a', 1);
    await g.hears(['a', 1]);
    await order('join', { id: g.id, room: 'r' });
    await g.lose(how, async () => {
      await g.emit('direct', 2);
      await order('emit', { event: 'all', args: [3] });
      await order('emit', { event: 'room', room: 'r', args: [4] });
      await order('emit', { event: 'not', room: 'other', args: [-1] });
      await order('emit', { event: 'not', except: 'r', args: [-1] });
    });
    g.recovered();
    await g.hears(['direct', 2], ['all', 3], ['room', 4]);
    await order('emit', { event: 'room', room: 'r', args: [5] });
    await g.hears(['room', 5]);
    g.close();
  });
}

await check('a client that has heard nothing yet is recovered', async () => {
  const g = await guest();
  await g.lose('refuse', () => g.emit('first', 1));
  g.recovered();
  await g.hears(['first', 1]);
  g.close();
});

await check('volatile events break nothing', async () => {
  const g = await guest();
  await g.emit('durable', 1);
  await g.hears(['durable', 1]);
  await until(5000, () => 'no volatile event came', async () => {
    await order('volatile', { id: g.id, event: 'volatile', args: ['text'] });
    return g.heard.length;
  });
  await g.lose('refuse', async () => {
    await order('volatile', { id: g.id, event: 'volatile', args: ['missed'] });
    await g.emit('durable', 2);
  });
  g.recovered();
  g.heard = g.heard.filter(([event, arg]) => event !== 'volatile' || arg === 'missed');
  await g.hears(['durable', 2]);
  g.close();
});

await check('an offset of the session before does no harm', async () => {
  const g = await guest();
  await g.emit('old', 1);
  await g.hears(['old', 1]);
  const gone = new Promise((ok) => g.socket.once('disconnect', ok));
  await order('kick', { id: g.id });
  assert.equal(await gone, 'io server disconnect');
  g.socket.connect();
  await g.connected();
  assert.equal(g.socket.recovered, false);
  await g.lose('refuse', () => g.emit('new', 2));
  g.recovered();
  await g.hears(['new', 2]);
  g.close();
});

if (mode === 'websocket') {
  for (const where of ['behind the answer', 'behind an event', 'behind two events']) {
    await check(`cut once more ${where}`, async () => {
      const g = await guest();
      await g.lose('refuse', async () => {
        for (let i = 1; i <= 4; i++) await g.emit('e', i);
        await ask(`cut ${where}`);
        await ask('admit');
        await within(5000, () => 'not cut again', new Promise((ok) => { g.socket.io.on('close', ok); }));
      });
      await until(5000, () => 'not back', () => g.socket.connected);
      g.recovered();
      await g.hears(['e', 1], ['e', 2], ['e', 3], ['e', 4]);
      g.close();
    });
  }

  await check('binary that was cut off behind its header comes whole', async () => {
    const g = await guest();
    await g.lose('refuse', async () => {
      await order('emit', { id: g.id, event: 'file', args: [Buffer.from('abc'), 'name'] });
      await g.emit('e', 2);
      await ask('cut behind an event');
      await ask('admit');
      await within(5000, () => 'not cut again', new Promise((ok) => { g.socket.io.on('close', ok); }));
    });
    await until(5000, () => 'not back', () => g.socket.connected);
    g.recovered();
    await g.hears(['file', Buffer.from('abc'), 'name'], ['e', 2]);
    g.close();
  });
}

await check('handlers see an end before the new beginning', async () => {
  const g = await guest();
  await order('log');
  await g.lose('freeze');
  g.recovered();
  let log = [];
  await until(5000, () => JSON.stringify(log), async () => {
    log = log.concat((await order('log')) ?? []);
    return log.length >= 2;
  });
  assert.deepEqual(log, [
    { what: 'transport close', id: g.id, recovered: false },
    { what: 'connect', id: g.id, recovered: true },
  ]);
  await g.emit('old', 1); // by the socket of before
  await g.hears(['old', 1]);
  g.close();
});

await check('there and back, again and again', async () => {
  const g = await guest();
  const want = [];
  for (let i = 0; i < 8; i++) {
    const how = ['reset', 'finish', 'freeze', 'reset'][i % 4];
    await g.connected(); // and upgraded: nothing ends amid an upgrade but that
    await g.lose(how, async () => {
      want.push(['direct', i], ['all', i]);
      await g.emit('direct', i);
      await order('emit', { event: 'all', args: [i] });
    });
    g.recovered();
  }
  await g.hears(...want).catch((err) => { throw new Error(`${err.message.split('\n')[0]}: heard ${brief(g.all)}`); });
  g.close();
});

await check('who leaves, and comes again, begins anew', async () => {
  const g = await guest();
  await g.emit('e', 1);
  await g.hears(['e', 1]);
  g.socket.disconnect();
  g.socket.connect();
  await g.connected();
  assert.equal(g.socket.recovered, false);
  await g.emit('e', 2);
  await g.hears(['e', 2]);
  g.close();
});

await check('rooms and data change while the client is away', async () => {
  const g = await guest();
  await order('join', { id: g.id, room: 'left' });
  await until(5000, () => 'not in its room', async () => (await order('sockets', { id: g.id }))?.[0]?.Rooms.includes('left'));
  await g.lose('refuse', async () => {
    await order('leave', { id: g.id, room: 'left' });
    await order('join', { id: g.id, room: 'joined' });
    await order('data', { id: g.id, args: [{ k: 'v' }] });
    if (several) await delay(500); // nor has what one does and another says
    assert.equal(((await order('sockets', { id: g.id })) ?? []).length, 0, 'found while away');
    await order('emit', { event: 'not', room: 'left' });
    await order('emit', { event: 'joined', room: 'joined', args: [1] });
  });
  g.recovered();
  await g.hears(['joined', 1]);
  const [found] = await order('sockets', { id: g.id });
  assert.deepEqual(found.Data, { k: 'v' });
  assert.deepEqual(found.Rooms.filter((r) => r !== g.id), ['joined']);
  assert.equal(found.Handshake.auth.pid, undefined, 'the secret is shown');
  g.close();
});

await check('who is put out while away begins anew', async () => {
  const g = await guest();
  await g.lose('refuse', () => order('kick', { id: g.id }));
  g.recovered(false);
  await g.hears();
  g.close();
});

await check('events with acknowledgements are not repeated', async () => {
  const g = await guest();
  assert.deepEqual(await order('ask', { id: g.id, event: 'ask', args: ['x'] }), { answers: 1, missing: false });
  await g.hears(['ask', 'x']);
  await g.emit('e', 1);
  await g.hears(['e', 1]);
  await g.lose('refuse', async () => {
    // The client may have noticed before its server, which would ask it then.
    await until(5000, () => 'still there', async () => ((await order('sockets', { id: g.id })) ?? []).length === 0);
    const { answers, missing } = await order('ask', { id: g.id, event: 'ask', args: ['y'] });
    assert.deepEqual([answers, missing && !several], [0, false]); // of several servers one may be late
  });
  g.recovered();
  await g.hears();
  assert.deepEqual(await order('ask', { id: g.id, event: 'ask', args: ['z'] }), { answers: 1, missing: false });
  await g.hears(['ask', 'z']);
  g.close();
});

await check('of two namespaces one is recovered', async () => {
  const g = await guest();
  const a = new Guest('/a', g.socket.io);
  await until(5000, () => 'not in /a', () => a.socket.connected);
  a.id = a.socket.id;
  await g.lose('refuse', async () => {
    await g.emit('e', 1);
    await a.emit('e', 2);
    await order('kick', { namespace: '/a', id: a.id });
  });
  await until(5000, () => 'not back in /a', () => a.socket.connected);
  g.recovered();
  a.recovered(false);
  await g.hears(['e', 1]);
  await a.hears();
  g.close();
  a.close();
});

await check('what had to be given up is told, not passed over', async () => {
  const g = await guest();
  await g.lose('refuse', async () => {
    for (let i = 0; i < 30; i++) await g.emit('flood', 'x'.repeat(10_000)); // more than is kept
  });
  g.recovered(false);
  await g.hears();
  g.close();
});

done();
