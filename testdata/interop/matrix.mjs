// Takes one version of the client through what every client does. The
// argument is {url, client, transport, parser}; each line of output is what a
// step came to, and the Go test knows what it should be.
import { within } from "./wait.mjs";

const { url, client, transport, parser } = JSON.parse(process.argv[2]);
const module = await import(client);
const io = module.io ?? module.default;
const v2 = client === "client25"; // says who it is in a query, and hears "error"
const more = parser ? { parser: (await import(parser)).default } : {};
const transports = transport === "upgrade" ? ["polling", "websocket"] : [transport];
const say = (step, ...what) => console.log(JSON.stringify([step, ...what.map(plain)]));
const plain = (v) => {
  if (v instanceof ArrayBuffer || ArrayBuffer.isView(v)) return `bytes ${Buffer.from(v).toString("hex")}`;
  if (v && typeof v === "object") return Array.isArray(v) ? v.map(plain) : Object.fromEntries(Object.entries(v).map(([k, x]) => [k, plain(x)]));
  return v;
};
const open = (nsp, auth) =>
  io(url + nsp + (v2 && nsp !== "/" ? "?" + new URLSearchParams(auth) : ""), { transports, auth, query: v2 ? auth : undefined, reconnection: false, forceNew: true, ...more });
const once = (s, event) => within(event, new Promise((resolve) => s.once(event, (...args) => resolve(args))));
const ask = (s, ...args) => within(args[0], new Promise((resolve) => s.emit(...args, (...answer) => resolve(answer))));

const a = open("/", { name: "a", token: "x" });
const upgraded = transport === "upgrade" && within("upgrade", new Promise((resolve) => a.io.once("open", () => a.io.engine.once("upgrade", resolve))));
say("auth", ...(await once(a, "welcome")));
if (upgraded) await upgraded;
const b = open("/", { name: "b" });
await once(b, "welcome");
say("transport", ...(await ask(a, "do", [["transport"]])));
const echoed = once(a, "echo");
a.emit("echo", 1, "two", [null, { é: true }]);
say("event", ...(await echoed));
say("ack", ...(await ask(a, "echo", "x", 2)));
say("binary", ...(await ask(a, "echo", Buffer.from([0, 255]), { deep: [Buffer.from("x")] })));
a.on("ask", (n, answer) => answer(n + 1, Buffer.from("y")));
const answered = once(a, "answer");
a.emit("do", [["ask", "ask", 41]]);
say("ack of the server's", ...(await answered));
await ask(b, "do", [["join", "red"]]);
const news = once(b, "news");
await ask(a, "do", [["send", { from: "socket", to: ["red"] }, "news", "for red"]]);
say("room", ...(await news));
const refused = open("/guarded", { name: "c", token: "data" });
const [error] = await once(refused, v2 ? "error" : "connect_error");
say("refusal", ...(v2 ? [error] : [error.message, error.data]));
refused.close();
const kicked = once(b, "disconnect");
a.emit("do", [["kick", { from: "nsp", to: ["red"] }, true]]);
say("kicked", (await kicked)[0]);
const bye = once(a, "disconnect");
a.disconnect();
say("left", (await bye)[0]);
process.exit(0);
