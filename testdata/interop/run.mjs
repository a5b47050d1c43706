// Runs scripts with real clients against the server at url and prints, as a
// line of JSON for each, what the clients saw. The argument is
// {url, seeds: [first, last], lanes}.
import { Manager } from "socket.io-client";
import { namespaces } from "./app.mjs";
import { script } from "./script.mjs";
import { within } from "./wait.mjs";

const plain = (v) => {
  if (typeof v === "function") return { $: "function" };
  if (v instanceof ArrayBuffer) v = new Uint8Array(v);
  if (ArrayBuffer.isView(v)) return { $bytes: Buffer.from(v.buffer, v.byteOffset, v.byteLength).toString("hex") };
  if (Array.isArray(v)) return v.map(plain);
  if (v && typeof v === "object") return Object.fromEntries(Object.entries(v).map(([k, x]) => [k, plain(x)]));
  if (v === undefined) return { $: "undefined" };
  return v;
};

class Client {
  constructor({ name, transport, wait }, url, names, log) {
    Object.assign(this, { name, names, wait, sockets: new Map() });
    this.log = (...entry) => log.push(JSON.stringify([name, ...entry].map(plain)));
    this.upgrade = transport === "upgrade";
    this.manager = new Manager(url, {
      transports: this.upgrade ? ["polling", "websocket"] : [transport],
      reconnection: false, autoConnect: false, forceNew: true,
      query: { q: "ä b&c" }, extraHeaders: { "X-Test": "yes" },
    });
  }

  socket(nsp, auth) {
    let s = this.sockets.get(nsp);
    if (!s) {
      s = this.manager.socket(this.names[nsp] ?? nsp, {});
      this.sockets.set(nsp, s);
      s.on("connect", () => this.log(nsp, "connect"));
      s.on("connect_error", (e) => this.log(nsp, "connect_error", e.message, e.data));
      s.on("disconnect", (reason) => this.log(nsp, "disconnect", reason));
      s.onAny((event, ...args) => {
        this.log(nsp, event, ...args);
        const answer = args.at(-1);
        if (event === "ask") answer("re", ...args.slice(0, -1));
        if (event === "twice") answer(1), answer(2);
      });
    }
    s.auth = auth ?? {};
    return s;
  }

  // open connects to a namespace; it returns whether it was let in.
  async open(nsp, auth) {
    const s = this.socket(nsp, auth);
    const fresh = this.manager.engine?.readyState !== "open";
    const ok = await within(`${this.name}: connect ${nsp}`, new Promise((resolve) => {
      s.once("connect", () => resolve(true));
      s.once("connect_error", () => resolve(false));
      s.connect();
    }));
    if (!ok) s.disconnect(); // so that the manager forgets it
    if (ok && fresh && this.upgrade && this.wait && this.manager.engine.transport.name !== "websocket") {
      await within(`${this.name}: upgrade`, new Promise((resolve) => this.manager.engine.once("upgrade", resolve)));
    }
    return ok;
  }

  connected() {
    return [...this.sockets].filter(([, s]) => s.connected);
  }

  async settle() {
    for (const [nsp, s] of this.connected()) await within(`${this.name}: settle ${nsp}`, s.emitWithAck("settle"));
  }

  async burst({ nsp, actions }) {
    const s = this.sockets.get(nsp);
    if (!s?.connected) return;
    const waits = [];
    actions.forEach(({ emit, ack }, i) => {
      if (emit) s.emit(...emit);
      else waits.push(new Promise((resolve) => s.emit(...ack, (...args) => { this.log(nsp, `ack ${i}`, ...args); resolve(); })));
    });
    await within(`${this.name}: ${JSON.stringify(actions)}`, Promise.all(waits));
    await this.settle();
  }

  async disconnected(nsp) {
    const s = this.sockets.get(nsp);
    if (s?.connected) await within(`${this.name}: disconnect ${nsp}`, new Promise((resolve) => s.once("disconnect", resolve)));
  }

  async closed() {
    const e = this.manager.engine;
    if (e && e.readyState !== "closed") await within(`${this.name}: close`, new Promise((resolve) => e.once("close", resolve)));
  }
}

async function run({ title, clients: specs, steps }, url, names) {
  const log = []; // of the step under way
  const clients = new Map(specs.map((c) => [c.name, new Client(c, url, names, log)]));
  const watcher = new Client({ name: "watcher", transport: "websocket" }, url, names, log);
  const gone = (nsp, name) => within(`${name}: gone from ${nsp}`, watcher.sockets.get("watch").emitWithAck("gone", nsp, name));
  const lines = [];
  try {
    await watcher.open("watch");
    for (const [i, step] of steps.entries()) {
      const c = clients.get(step.name);
      switch (step.kind) {
        case "connect": case "refused": case "unknown":
          if (c.sockets.get(step.nsp)?.connected) continue;
          await c.open(step.nsp, step.auth);
          await c.settle();
          break;
        case "back":
          if (!c.sockets.has(step.nsp) || c.sockets.get(step.nsp).connected) continue;
          await c.open(step.nsp, step.auth);
          await c.settle();
          break;
        case "burst":
          await c.burst(step);
          break;
        case "parallel":
          await Promise.all(step.parts.map((p) => clients.get(p.name).burst(p)));
          break;
        case "leave": {
          const s = c.sockets.get(step.nsp);
          if (!s?.connected) break;
          s.disconnect();
          await gone(step.nsp, c.name);
          break;
        }
        case "close": case "cut": {
          const open = c.connected();
          const engine = c.manager.engine;
          if (step.kind === "cut" && engine?.transport.name === "websocket") engine.transport.ws.terminate();
          else engine?.close();
          for (const [nsp] of open) await gone(nsp, c.name);
          await c.closed();
          for (const s of c.sockets.values()) s.disconnect(); // else all come back with the first
          break;
        }
        case "kick": {
          const s = c.sockets.get(step.nsp);
          if (!s?.connected) break;
          const hit = step.self ? [c.name] : await within("who", watcher.sockets.get("watch").emitWithAck("who", step.nsp, step.rooms));
          for (const r of step.self ? [] : step.rooms) { // "@alice" is alice's own room
            if (r.startsWith("@") && clients.get(r.slice(1))?.sockets.get(step.nsp)?.connected) hit.push(r.slice(1));
          }
          const last = step.self ? ["bye", step.whole] : ["kick", { from: "nsp", to: step.rooms }, step.whole];
          const open = hit.map((n) => [n, clients.get(n).connected().map(([nsp]) => nsp).filter((nsp) => step.whole || nsp === step.nsp)]);
          s.emit("do", [...step.before, last], (...args) => c.log(step.nsp, "ack", ...args));
          for (const [n, nsps] of open) {
            for (const nsp of nsps) {
              await gone(nsp, n);
              await clients.get(n).disconnected(nsp);
            }
            if (step.whole) await clients.get(n).closed();
          }
          await c.settle();
          break;
        }
      }
      for (const c of clients.values()) await c.settle();
      await watcher.settle();
      // Each client sees its events in order; of several clients, that is
      // not defined, and neither is the order of departures.
      const order = [...clients.keys(), "watcher"];
      const seen = log.splice(0).map((line) => [order.indexOf(JSON.parse(line)[0]), line]);
      const departures = seen.filter(([n]) => n === clients.size).sort((a, b) => (a[1] < b[1] ? -1 : 1));
      lines.push(`step ${i}: ${JSON.stringify(step, (_, v) => (v?.type === "Buffer" ? "…" : v)).slice(0, 600)}`);
      for (let n = 0; n < clients.size; n++) for (const [k, line] of seen) if (k === n) lines.push(line);
      for (const [, line] of departures) lines.push(line);
    }
  } catch (e) {
    lines.push(...log, `${e.message}`);
  }
  for (const c of clients.values()) {
    const open = c.connected();
    c.manager._close();
    for (const [nsp] of open) await gone(nsp, c.name).catch((e) => lines.push(e.message));
  }
  watcher.manager._close();
  return { title, lines };
}

const { url, seeds: [first, last], lanes } = JSON.parse(process.argv[2]);
let seed = first;
await Promise.all(Array.from({ length: lanes }, async (_, lane) => {
  while (seed <= last) {
    console.log(JSON.stringify(await run(script(seed++), url, namespaces(lane))));
  }
}));
process.exit(0);
