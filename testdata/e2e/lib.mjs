// What the scripts share. A script is run by a test in cmd/carillon, to whom
// it speaks in lines of JSON on stdout: {check, error, ms} for each thing
// checked, {ask} for what only the test can do, {result} for figures, {done} at
// the end.
import assert from 'node:assert/strict';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { io } from 'socket.io-client';

const tell = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

// check runs f and reports how it ended. A failed check does not end the script.
export async function check(name, f) {
  const start = Date.now();
  let error;
  try {
    await f();
  } catch (err) {
    error = err.stack;
  }
  tell({ check: name, error, ms: Date.now() - start });
}

const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

// ask has the test do something (stop an instance, say) and waits until it has.
export async function ask(what) {
  tell({ ask: what });
  const { value, done } = await answers.next();
  if (done || value !== 'ok') throw new Error(`${what}: ${value}`);
}

// result has the test's log hold figures.
export function result(text) {
  tell({ result: text });
}

export function done() {
  tell({ done: true });
  process.exit(0);
}

// within fails unless promise settles in time.
export async function within(ms, what, promise) {
  const timer = new AbortController();
  const late = delay(ms, null, { signal: timer.signal }).then(() => {
    throw new Error(`${what()} (waited ${ms} ms)`);
  });
  late.catch(() => {});
  try {
    return await Promise.race([promise, late]);
  } finally {
    timer.abort();
  }
}

// until calls f until what it resolves with is truthy.
export async function until(ms, what, f) {
  const end = Date.now() + ms;
  for (;;) {
    const got = await f();
    if (got) return got;
    if (Date.now() > end) throw new Error(`${what()} (waited ${ms} ms)`);
    await delay(50);
  }
}

const quick = { reconnectionDelay: 100, reconnectionDelayMax: 500, timeout: 5000 };

export const modes = {
  websocket: { transports: ['websocket'] },
  polling: { transports: ['polling'] },
  upgrade: {},
};

const clients = new Set();

// A Client is a socket that remembers all it was told, so that nothing is
// missed between two waits.
export class Client {
  heard = []; // [event, ...args], until taken
  #waiting = new Set();

  constructor(url, user, options = {}) {
    this.user = user;
    this.socket = io(url, { ...quick, forceNew: true, auth: user === undefined ? {} : { user }, ...options });
    for (const event of ['connect', 'disconnect', 'connect_error']) {
      this.socket.on(event, (...args) => this.#hear(event, args));
    }
    this.socket.onAny((event, ...args) => this.#hear(event, args));
    clients.add(this);
  }

  #hear(event, args) {
    this.heard.push([event, ...args]);
    for (const wake of this.#waiting) wake();
  }

  // take removes and returns the first event heard that fits.
  take(event, fits = () => true) {
    const i = this.heard.findIndex(([e, ...args]) => e === event && fits(...args));
    return i < 0 ? null : this.heard.splice(i, 1)[0].slice(1);
  }

  // next is take that waits, and resolves with the event's first argument.
  async next(event, fits, ms = 10_000) {
    let wake;
    const found = new Promise((resolve) => {
      wake = () => {
        const args = this.take(event, fits);
        if (args) {
          this.#waiting.delete(wake);
          resolve(args[0]);
        }
      };
    });
    this.#waiting.add(wake);
    wake();
    try {
      return await within(ms, () => `${this.user} did not hear ${event}, but ${brief(this.heard)}`, found);
    } finally {
      this.#waiting.delete(wake);
    }
  }

  // count tells how many events that fit were heard and not taken.
  count(event, fits = () => true) {
    return this.heard.filter(([e, ...args]) => e === event && fits(...args)).length;
  }

  // emit resolves with the server's ack.
  async emit(event, ...args) {
    const answer = this.socket.timeout(10_000).emitWithAck(event, ...args);
    return within(11_000, () => `no ack for ${event} of ${this.user}`, answer);
  }

  // people resolves with the presence list as {user: {devices, instances}}.
  async people() {
    const { ok, users } = await this.emit('presence:list');
    if (!ok) throw new Error('presence:list was refused');
    return Object.fromEntries(users.map(({ user, ...rest }) => [user, rest]));
  }

  // sees waits until the presence list shows each user with so many devices.
  async sees(want, ms = 10_000) {
    let last;
    await until(
      ms,
      () => `${this.user} wants to see ${brief(want)}, sees ${brief(last)}`,
      async () => {
        last = await this.people();
        return Object.entries(want).every(([user, devices]) => (last[user]?.devices ?? 0) === devices);
      },
    );
    return last;
  }

  get transport() {
    return this.socket.io.engine.transport.name;
  }

  close() {
    clients.delete(this);
    this.socket.disconnect();
  }
}

// open resolves with a Client that has its session.
export async function open(url, user, options) {
  const client = new Client(url, user, options);
  client.session = await client.next('session');
  return client;
}

// closeAll ends every Client that is still there, between two checks.
export function closeAll() {
  for (const client of clients) client.close();
}

// reached asserts that a message's ack tells that it reached so many devices.
// An instance that did not tell its number in time is named in the ack, and
// not counted; on a busy machine that may happen, if it is seldom.
let stalls = 0;
let stalled = 0;
export function reached(answer, devices) {
  assert.equal(answer.ok, true);
  if (!answer.missing) return assert.equal(answer.devices, devices);
  if (Date.now() - stalled > 10_000) stalls++;
  stalled = Date.now();
  assert.ok(answer.devices < devices && stalls <= 2, `too many answers like ${brief(answer)}`);
}

export function brief(value) {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 600 ? `${text.slice(0, 600)}…` : text;
}
