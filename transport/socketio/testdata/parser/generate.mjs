// Writes what Node's parsers make of inputs and values, for the tests beside
// it: json.json (socket.io-parser) and msgpack.json (socket.io-msgpack-parser).
//
//	npm i socket.io-parser@4.2.7 socket.io-msgpack-parser@3.0.2 notepack3@npm:notepack.io@3
//	node generate.mjs path/of/node_modules

import { createRequire } from "node:module";
import { writeFileSync } from "node:fs";
import { resolve } from "node:path";

const require = createRequire(resolve(process.argv[2], "index.js"));
const json = require("socket.io-parser");
const msgpack = require("socket.io-msgpack-parser");
const notepack = require("notepack.io");
const notepack3 = require("notepack3");

// normal is a value as JSON can tell it: what JSON has no word for is an
// object of one key that begins with a dollar sign.
function normal(v) {
  if (v === undefined) return { $undefined: true };
  if (Buffer.isBuffer(v) || v instanceof Uint8Array) return { $binary: Buffer.from(v).toString("base64") };
  if (v instanceof ArrayBuffer) return { $binary: Buffer.from(v).toString("base64") };
  if (v instanceof Date) return isNaN(v) ? null : v.toISOString();
  if (Array.isArray(v)) return v.map(normal);
  if (v !== null && typeof v === "object") {
    return Object.fromEntries(Object.keys(v).map((k) => [k, normal(v[k])]));
  }
  if (typeof v === "number" && !Number.isFinite(v)) return null;
  return v;
}

const packet = (p) => ({ type: p.type, nsp: p.nsp, ...(p.id !== undefined && { id: p.id }), ...(p.data !== undefined && { data: normal(p.data) }) });

function verdict(decoder, feed) {
  let out = null;
  decoder.on("decoded", (p) => (out = p));
  try {
    feed(decoder);
  } catch (e) {
    return { error: e.message };
  }
  return out ? { packet: packet(out) } : { incomplete: true };
}

// 1. Text, and the attachments behind it, to socket.io-parser's Decoder.

const payloads = [
  "", "null", "true", "0", "1.5", '""', '"x"', "{}", '{"a":1}', "[]", '["a"]', '["a",1]', "[1]", "[1.5,2]", "[-1]", "[1e3]", "[null]", "[true]",
  "[{}]", "[[]]", '["connect"]', '["disconnecting"]', '["newListener",1]', '["Connect"]', '["\\u0063onnect"]', '[""]', '["a",{"b":[1,{"c":null}]}]',
  '["a","b]\\"c,"]', '["é","\\u00e9","😀","\\ud83d\\ude00"]', '["a",1e999]', '["a",-0]', '["a",12345678901234567890]', '["a",0.1e-7]',
  '["a" , 1 ]', ' ["a"]', '["a"] ', '\t["a"]\n', '["a",]', '["a"', '["a"]]', "['a']", '["a",01]', '["a",+1]', '["a",.5]', '["a",1.]', '["a",NaN]',
  '["a","\n"]', '["a","\\x"]', '["a",undefined]', '["a"]["b"]', "{", "}", '{"a":1,"a":2}', '{"__proto__":1}', '["a",{"__proto__":{"x":1}}]', "[,]",
  '["a",{"_placeholder":true,"num":0}]', '["a",{"_placeholder":false,"num":0}]', '["a",{"num":0,"_placeholder":true}]', "\u00a0[]", "\ufeff[]", '["a",tru]',
];
const headers = ["0", "1", "2", "3", "4", "2/n,", "212", "2/n,12", "30", "3/n,7", "0/n,", "1/n,", "4/n,", "2/n?x=1,", "2/,", "2//,"];
const texts = [];
for (const h of headers) for (const p of payloads) texts.push(h + p);
texts.push(
  "", "7", "8", "9", "a", "-1", " 2", "/", ",", "é", "22", "2 ", "2\n", "2/", "2/n", "0/n", "1/n", '2/n["a"]', '2/n ["a"]', '0/n{"a":1}', "2,", '2,["a"]',
  '2 1["a"]', '2 ["a"]', '21 ["a"]', '2-1["a"]', '2+1["a"]', '21.5["a"]', '21e3["a"]', '20x1["a"]', '2007["a"]', '200["a"]', '29007199254740991["a"]',
  '29007199254740992["a"]', '299999999999999999999["a"]', '2²["a"]', '2٣["a"]', '212a["a"]', '2/a/b,["a"]', '2/é,["a"]', '2/a b,["a"]', '2/a,/b,["a"]', '2/a,,["a"]',
  '2/a,1,["a"]', "2/a,1", "3/a,1", "31", "3", "5", "6", '5-["a"]', '50-["a"]', '6-1["a"]', '5-1-["a"]', '51["a"]', '51', '51-', '5 1-["a"]', '51.0-["a"]', '51e0-["a"]',
  '50x1-["a"]', '501-["a"]', '511-["a"]', '510-["a"]', '5+1-["a"]', '51-/n["a"]', '51.5-["a"]', '5NaN-["a"]', '5Infinity-["a"]', '61-{}', '61-"x"', '51-{}', '51-[]', '51-["connect"]',
);

const A = "AQID", B = "/w==";
const ph = (n) => `{"_placeholder":true,"num":${n}}`;
const binaries = [
  ['51-["a",' + ph(0) + "]", A], ['52-["a",' + ph(0) + "," + ph(1) + "]", A, B], ['52-["a",' + ph(1) + "," + ph(0) + "]", A, B],
  ['61-/n,3[' + ph(0) + "]", A], ['61-3[{"x":{"y":[' + ph(0) + "]}}]", A], ['51-["a"]', A], ['52-["a",' + ph(0) + "]", A, B],
  ['51-["a",' + ph(1) + "]", A], ['51-["a",' + ph(-1) + "]", A], ['51-["a",{"_placeholder":true,"num":"0"}]', A], ['51-["a",{"_placeholder":true}]', A],
  ['51-["a",{"_placeholder":1,"num":0}]', A], ['51-["a",{"_placeholder":true,"num":0.5}]', A], ['51-["a",{"_placeholder":true,"num":0,"x":1}]', A],
  ['51-["a",{"num":0,"_placeholder":true}]', A], ['51-["a",{ "_placeholder" : true , "num" : 0 }]', A], ['51-["a",' + ph(0) + "," + ph(0) + "]", A],
  ['51-["a","{\\"_placeholder\\":true,\\"num\\":0}"]', A], ['51-[' + ph(0) + "]", A], ["51-", A], ['51-["a",' + ph(0) + "]"], ['52-["a",' + ph(0) + "]", A],
  ['2["a"]', A], [A], ['51-["a",' + ph(0) + "]", '2["b"]'], ['51-["a",' + ph(0) + "]", ""], ['51-["a",{"_placeholder":true,"num":null}]', A], ['51-["a",{"_placeholder":true,"num":1e0}]', A],
  ['51-["a",{"_placeholder":true,"num":0e0}]', A], ['51-["a",{"\\u005fplaceholder":true,"num":0}]', A],
];
const decode = [];
for (const text of texts) decode.push({ text, ...verdict(new json.Decoder(), (d) => d.add(text)) });
for (const [first, ...rest] of binaries) {
  const frames = (first === A ? [{ b: first }] : [{ t: first }]).concat(rest.map((r) => (/^\d.*\[/.test(r) ? { t: r } : { b: r })));
  decode.push({ frames, ...verdict(new json.Decoder(), (d) => frames.forEach((f) => d.add(f.t ?? Buffer.from(f.b, "base64")))) });
}

// 2. Values, as each Encoder writes them.

const deep = (n) => (n ? { d: deep(n - 1) } : 1);
const values = [
  null, undefined, true, false, 0, 1, -1, 127, 128, 255, 256, 65535, 65536, 4294967295, 4294967296, 9007199254740991, -32, -33, -128, -129, -32768, -32769, -2147483648,
  -2147483649, -9007199254740991, 1e21, 1e300, 5e-324, 1.5, -0.1, 0.1 + 0.2, 1e-7, NaN, Infinity, "", "a", "é", "日本語", "😀", "\u0000\u001f\"\\/\u2028\u007f", "x".repeat(31), "x".repeat(32),
  "x".repeat(255), "x".repeat(256), "<a href='&'>", [], [[]], [1, [2, [3]]], Array(15).fill(0), Array(16).fill(0), {}, { a: 1 }, { "": 0 },
  { a: { b: { c: [null, true, "x"] } } }, { 1: "one" }, { "é\"": 1 }, Object.fromEntries(Array.from({ length: 15 }, (_, i) => ["k" + i, i])),
  Object.fromEntries(Array.from({ length: 16 }, (_, i) => ["k" + i, i])), { u: undefined }, deep(50), new Date(0), new Date(1700000000123), new Date(-1), new Date(1e14),
  Buffer.from([]), Buffer.from([1, 2, 3]), Buffer.alloc(255, 1), Buffer.alloc(256, 2), { b: Buffer.from([9]), c: [Buffer.from([8]), { d: Buffer.from([7]) }] },
  [Buffer.from([1]), "x", Buffer.from([2])], { toJSON: () => ({ t: 1 }) }, { _placeholder: true, num: 0 }, { date: new Date(1500000000000) },
];
const b64 = (b) => Buffer.from(b).toString("base64");
const frame = (f) => (typeof f === "string" ? { t: f } : { b: b64(f) });
// What is seen at the other end: dates have become text, and so on.
function seen(Decoder, frames) {
  return verdict(new Decoder(), (d) => frames.forEach((f) => d.add(f))).packet;
}
const wrap = (v) => [
  { type: 2, nsp: "/", data: ["e", v] },
  { type: 3, nsp: "/n", id: 7, data: [v, v] },
];
const others = [
  { type: 0, nsp: "/" }, { type: 0, nsp: "/n", data: { token: "x" } }, { type: 0, nsp: "/", data: { sid: "abc" } }, { type: 1, nsp: "/" }, { type: 1, nsp: "/n" },
  { type: 4, nsp: "/", data: { message: "no", data: { code: 1 } } }, { type: 4, nsp: "/", data: "no" }, { type: 2, nsp: "/", data: ["e"], id: 0 },
  { type: 2, nsp: "/", data: ["e"], id: 9007199254740991 }, { type: 2, nsp: "/", data: [1, 2] }, { type: 3, nsp: "/", data: [], id: 1 },
  { type: 2, nsp: "/", data: ["e"].concat(Array(20).fill("x")), options: { compress: true } },
];
const packets = [...values.slice(0).flatMap(wrap), ...others];
const encode = [];
const packed = [];
for (const p of packets) {
  const frames = new json.Encoder().encode({ ...p, data: p.data && structuredCloneish(p.data) });
  const many = frames.length > 11;
  if (!many) encode.push({ frames: frames.map(frame), packet: seen(json.Decoder, frames) });
  for (const [name, enc] of [["2", notepack.encode], ["3", notepack3.encode]]) {
    const bytes = name === "2" ? new msgpack.Encoder().encode(p)[0] : enc(p);
    packed.push({ notepack: name, b: b64(bytes), packet: packet(msgpackPacket(bytes, name)) });
  }
}
// The Encoder takes Buffers out of what it is given.
function structuredCloneish(v) {
  if (Buffer.isBuffer(v) || v instanceof Date || v === null || typeof v !== "object" || typeof v.toJSON === "function") return v;
  if (Array.isArray(v)) return v.map(structuredCloneish);
  return Object.fromEntries(Object.entries(v).map(([k, w]) => [k, structuredCloneish(w)]));
}
function msgpackPacket(bytes, name) {
  return (name === "2" ? notepack : notepack3).decode(bytes);
}

// 3. Bytes, to socket.io-msgpack-parser's Decoder: as hex.

const enc = (v) => Buffer.from(notepack.encode(v)).toString("hex");
const bad = [
  "", "c0", "80", "90", "c1", "ff", "a161", enc({ type: 2 }), enc({ type: 2, nsp: "/" }), enc({ type: 2, nsp: "/", data: {} }), enc({ type: 2, nsp: "/", data: "x" }),
  enc({ type: 5, nsp: "/", data: ["a"] }), enc({ type: -1, nsp: "/", data: ["a"] }), enc({ type: "2", nsp: "/", data: ["a"] }), enc({ type: 2.5, nsp: "/", data: ["a"] }),
  enc({ type: 2, nsp: 1, data: ["a"] }), enc({ type: 2, nsp: "/", data: ["a"], id: "1" }), enc({ type: 2, nsp: "/", data: ["a"], id: 1.5 }), enc({ type: 1, nsp: "/", data: {} }),
  enc({ type: 0, nsp: "/", data: [] }), enc({ type: 0, nsp: "/", data: "x" }), enc({ type: 4, nsp: "/", data: [] }), enc({ type: 4, nsp: "/" }), enc({ type: 3, nsp: "/", data: {} }),
  enc({ type: 2, nsp: "/", data: ["a"] }) + "00", enc({ type: 2, nsp: "/", data: ["a"] }).slice(0, -2), "de0003" + enc("data") + "91a161" + enc("nsp") + enc("/") + enc("type") + "02",
  "83" + enc("type") + "02" + enc("nsp") + enc("/") + enc("data") + "dd00000001a161", "83" + enc("type") + "02" + enc("nsp") + enc("/") + enc("data") + "ddffffffff",
  "83" + enc("type") + "02" + enc("nsp") + enc("/") + enc("data") + "92a161c6ffffffff", "83" + enc("type") + "02" + enc("nsp") + enc("/") + enc("data") + "92a161c1",
  "83" + enc("type") + "cc02" + enc("nsp") + "d9012f" + enc("data") + "92a161ca3fc00000", "83" + enc("type") + "02" + enc("nsp") + enc("/") + enc("data") + "92a16181c2c3",
  "83" + enc("type") + "02" + enc("nsp") + enc("/") + enc("data") + "92a161810102", "84" + enc("type") + "03" + enc("type") + "02" + enc("nsp") + enc("/") + enc("data") + "91a161",
];
const msgpackDecode = bad.map((hex) => ({ hex, ...verdict(new msgpack.Decoder(), (d) => d.add(Buffer.from(hex, "hex"))) }));

const write = (name, v) => writeFileSync(new URL(name, import.meta.url), v);
const lines = (list) => "[\n" + list.map((x) => JSON.stringify(x)).join(",\n") + "\n]";
write("json.json", `{"decode": ${lines(decode)},\n"encode": ${lines(encode)}}\n`);
write("msgpack.json", `{"decode": ${lines(msgpackDecode)},\n"encode": ${lines(packed)}}\n`);
console.log(decode.length, encode.length, msgpackDecode.length, packed.length);
