// Makes scripts: what two to four clients do, step by step, from a seed. The
// same seed gives the same script.

function random(seed) { // mulberry32
  let a = seed >>> 0;
  const next = () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  const r = { int: (n) => Math.floor(next() * n), chance: (p) => next() < p };
  r.pick = (list) => list[r.int(list.length)];
  r.some = (list) => list.filter(() => r.chance(0.5));
  r.times = (n, f) => Array.from({ length: n }, f);
  return r;
}

const texts = ["", "a", "héllo wörld", "😀 \u2028\u2029", "quote\" back\\slash /", "\u0000\u0001\u001f\u007f", "<b>&amp;</b>", "\ud83d alone", "[1,2]", "42[\"x\"]", '{"_placeholder":true,"num":0}', "\x1e", "b64", "x".repeat(3000)];
const numbers = [0, -0, 1, -1, 1.5, 1e21, 1e-7, 5e-324, Number.MAX_SAFE_INTEGER, -Number.MAX_SAFE_INTEGER, 1.7976931348623157e308, 0.1, 4294967296];

function value(r, depth = 0) {
  switch (r.int(depth > 2 ? 6 : 10)) {
    case 0: return r.pick(texts);
    case 1: return r.pick(numbers);
    case 2: return r.chance(0.5);
    case 3: return null;
    case 4: return bytes(r);
    case 5: return r.pick([undefined, NaN, Infinity, new Date(r.int(2 ** 31) * 1000)]);
    case 6: return r.times(r.int(4), () => value(r, depth + 1));
    case 7: return r.pick([[], {}, [[]], [{}], { "": "" }]);
    default: return Object.fromEntries(r.times(r.int(4), () => [r.pick(["a", "b", "key with space", "ключ", "_placeholders", "num", "constructor", "0"]), value(r, depth + 1)]));
  }
}

function bytes(r) {
  const b = Buffer.from(r.times(r.pick([0, 1, 2, 3, 100, 300]), () => r.int(256)));
  return r.pick([(b) => b, (b) => new Uint8Array(b), (b) => new Uint8Array(b).buffer, (b) => new Uint16Array(new Uint8Array([...b, ...b]).buffer)])(b);
}

// args has ten attachments at most, the parser's default limit.
function args(r, max = 4) {
  for (;;) {
    const list = r.times(r.int(max), () => value(r));
    if (attachments(list) <= 10) return list;
  }
}

function attachments(v) {
  if (v instanceof ArrayBuffer || ArrayBuffer.isView(v)) return 1;
  if (Array.isArray(v)) return v.reduce((n, x) => n + attachments(x), 0);
  return v && typeof v === "object" && !(v instanceof Date) ? attachments(Object.values(v)) : 0;
}

const events = ["echo", "", "message", "ünï \"q\"", "7"];
const rooms = ["red", "green", "blue", "", "lobby", "no such"];

export function script(seed) {
  const r = random(seed);
  const names = ["alice", "bob", "carol", "dave"].slice(0, 2 + r.int(3));
  const clients = names.map((name) => ({ name, transport: r.pick(["polling", "websocket", "websocket", "upgrade"]), wait: r.chance(0.5) }));
  const joined = new Set(); // "name nsp"
  const steps = [];
  const connect = (name, nsp) => {
    const auth = { name, ...(r.chance(0.3) ? { extra: r.pick([[1, "two"], { x: null }, "😀"]) } : {}) };
    if (nsp === "guarded" && r.chance(0.5)) {
      steps.push({ kind: "refused", name, nsp, auth: { ...auth, token: r.pick(["bare", "data", "list"]) } });
    }
    steps.push({ kind: "connect", name, nsp, auth });
    joined.add(`${name} ${nsp}`);
  };
  const anyName = () => r.pick(names);
  const somewhere = () => {
    const at = r.pick([...joined]);
    return at?.split(" ");
  };
  const room = (nsp) => (r.chance(0.25) ? `@${anyName()}` : r.pick(rooms));
  const target = () => {
    const t = { from: r.pick(["socket", "nsp", "broadcast"]) };
    if (t.from === "socket" || r.chance(0.6)) t.to = r.times(1 + r.int(3), room);
    if (r.chance(0.4)) t.except = r.times(1 + r.int(2), room);
    return t;
  };
  const op = () => {
    switch (r.int(13)) {
      case 0: case 1: return ["join", ...r.times(1 + r.int(2), () => r.pick(rooms))];
      case 2: return ["leave", r.pick(rooms)];
      case 3: return ["rooms"];
      case 4: return ["emit", r.pick(["hello", "", "x y"]), ...args(r, 3)];
      case 5: return ["emit", r.pick(["connect", "disconnecting", "newListener", "error"])];
      case 6: case 7: case 8: return ["send", target(), r.pick(["news", "message"]), ...args(r, 3)];
      case 9: return ["emit", "hello", bytes(r)];
      case 10: return [r.pick(["joinAll", "leaveAll"]), target(), r.some(rooms)];
      case 11: return r.pick([["types"], ["handshake"]]);
      default: return r.chance(0.5) ? ["send", { from: "other", nsp: r.pick(["main", "chat"]) }, "news", "from afar"] : ["ack", ...args(r, 3)];
    }
  };
  const doAction = () => {
    for (;;) {
      const action = { ack: ["do", r.times(1 + r.int(6), op)] };
      if (attachments(action.ack) <= 10) return action;
    }
  };
  const action = () => {
    switch (r.int(5)) {
      case 0: return { emit: [r.pick(events), ...args(r)] };
      case 1: return { ack: [r.pick(events), ...args(r)] };
      default: return doAction();
    }
  };

  for (const name of names) connect(name, r.chance(0.8) ? "main" : "chat");
  for (let i = 4 + r.int(6); i > 0; i--) {
    const at = somewhere();
    if (!at || r.chance(0.15)) {
      const name = anyName();
      const nsp = r.pick(["main", "chat", "guarded"]);
      if (!joined.has(`${name} ${nsp}`)) connect(name, nsp);
      continue;
    }
    const [name, nsp] = at;
    switch (r.int(12)) {
      case 0:
        steps.push({ kind: "parallel", parts: [...joined].filter((at, i, all) => all.findIndex((b) => b.split(" ")[0] === at.split(" ")[0]) === i)
          .map((at) => ({ name: at.split(" ")[0], nsp: at.split(" ")[1], actions: r.times(1 + r.int(5), () => ({ [r.pick(["emit", "ack"])]: [r.pick(events), ...args(r)] })) })) });
        break;
      case 1: // what Node's server has to wait for is asked for alone: its handlers overlap
        steps.push({ kind: "burst", name, nsp, actions: [{ ack: ["do", r.times(1 + r.int(2), () => r.pick([["ask", "ask", ...args(r, 3)], ["ask", "twice", "x"], ["askInVain", "silent", 1], ["count", target()]]))] }] });
        break;
      case 2:
        if (clients.every((c) => c.transport === "websocket")) {
          steps.push({ kind: "burst", name, nsp, actions: [{ ack: ["do", [["send", { from: r.pick(["socket", "nsp", "broadcast"]), volatile: true }, "maybe", ...args(r, 2).filter((a) => attachments(a) === 0)]]] }] });
          break;
        }
      // fallthrough
      case 3:
        steps.push({ kind: "unknown", name, nsp: r.pick(["/nowhere", "/no where?x=1", "/main/x"]), auth: r.chance(0.5) ? { name } : undefined });
        break;
      case 4: {
        const whole = r.chance(0.3);
        const self = r.chance(0.4);
        const before = r.times(r.int(3), () => r.pick([["send", target(), "last words", 1], ["emit", "bye", Buffer.from("x")], ["ack", "first"]]));
        steps.push({ kind: "kick", name, nsp, self, whole, rooms: [room(nsp)], before });
        // Who is hit shows only when the script runs: connect steps for those who are still in are skipped.
        for (const n of names) steps.push({ kind: "back", name: n, nsp, auth: { name: n } });
        break;
      }
      case 5:
        steps.push({ kind: "leave", name, nsp });
        joined.delete(at.join(" "));
        break;
      case 6:
        steps.push({ kind: r.pick(["close", "cut"]), name });
        for (const at of [...joined]) if (at.startsWith(name + " ")) joined.delete(at);
        break;
      default:
        steps.push({ kind: "burst", name, nsp, actions: r.times(1 + r.int(6), action) });
    }
  }
  return { title: `seed ${seed}`, clients, steps };
}
