// A Socket.IO server of Node's that does what "carillon bench" asks for, as
// Carillon's own service does it: PORT=3001 REDIS=redis://127.0.0.1 node server.mjs
// It prints "serving" when it does.
import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { createAdapter } from "@socket.io/redis-adapter";
import { createClient } from "redis";
import { Server } from "socket.io";

// Its default of five seconds for a command ends the process where the machine
// is short of CPU.
const pub = createClient({ url: process.env.REDIS, commandOptions: { timeout: 60_000 } });
const sub = pub.duplicate();
for (const client of [pub, sub]) {
	client.on("error", (err) => {
		console.error(err);
		process.exit(1);
	});
}
await Promise.all([pub.connect(), sub.connect()]);

const http = createServer();
const io = new Server(http, { adapter: createAdapter(pub, sub, { key: process.env.KEY ?? "bench" }) });

io.use((socket, next) => {
	socket.data.user = String(socket.handshake.auth.user ?? `anonymous-${socket.id}`);
	socket.join(`user:${socket.data.user}`);
	next();
});

// Users are counted on this server alone: what other servers hold of a user,
// Node's adapter can only tell by asking all of them.
const devices = new Map();

io.on("connection", (socket) => {
	const { user } = socket.data;
	const outgoing = ({ room, data }) => ({ id: randomUUID(), room, from: user, data, at: Date.now() });
	socket.emit("session", { user, instance: process.env.PORT, id: socket.id });

	const before = devices.get(user) ?? 0;
	devices.set(user, before + 1);
	if (before === 0) io.emit("presence:online", { user });
	socket.on("disconnect", () => {
		const left = devices.get(user) - 1;
		if (left > 0) {
			devices.set(user, left);
			return;
		}
		devices.delete(user);
		io.emit("presence:offline", { user });
	});

	socket.on("room:join", async (room, ack) => {
		await socket.join(`room:${room}`);
		ack?.({ ok: true, room });
	});
	socket.on("room:message", (message, ack) => {
		if (!socket.rooms.has(`room:${message.room}`)) {
			ack?.({ ok: false, error: { code: "not_in_room" } });
			return;
		}
		const out = outgoing(message);
		io.to(`room:${message.room}`).emit("room:message", out);
		ack?.({ ok: true, id: out.id });
	});
	socket.on("message", (message, ack) => {
		const out = outgoing({ data: message.data });
		io.to(`user:${message.to}`).emit("message", out);
		ack?.({ ok: true, id: out.id });
	});
});

http.listen(Number(process.env.PORT), "127.0.0.1", () => console.log("serving"));
