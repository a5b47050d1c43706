// A Socket.IO server of Node's that recovers its clients on any server, by the
// one adapter for Redis that can: REDIS=redis://127.0.0.1 node server.mjs
// It speaks to users as Carillon's own service does, and prints its address
// when it serves.
import { createServer } from "node:http";
import { createAdapter } from "@socket.io/redis-streams-adapter";
import { createClient } from "redis";
import { Server } from "socket.io";

const redis = createClient({ url: process.env.REDIS, commandOptions: { timeout: 60_000 } });
redis.on("error", (err) => {
	console.error(err);
	process.exit(1);
});
await redis.connect();

const http = createServer((request, answer) => answer.end()); // it is ready as soon as it listens
const io = new Server(http, {
	adapter: createAdapter(redis, { streamName: process.env.KEY, sessionKeyPrefix: `${process.env.KEY}:session:`, maxLen: 100_000 }),
	connectionStateRecovery: { maxDisconnectionDuration: 120_000, skipMiddlewares: true },
	pingInterval: 25_000,
	pingTimeout: 20_000,
});

io.use((socket, next) => {
	socket.data.user = String(socket.handshake.auth.user);
	socket.join(`user:${socket.data.user}`);
	next();
});

io.on("connection", (socket) => {
	socket.emit("session", { user: socket.data.user, instance: process.env.KEY, id: socket.id });
	socket.on("message", (message, ack) => {
		io.to(`user:${message.to}`).emit("message", { from: socket.data.user, data: message.data });
		ack?.({ ok: true });
	});
});

http.listen(0, "127.0.0.1", () => console.log(`serving ${http.address().address}:${http.address().port}`));
