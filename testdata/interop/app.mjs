// The application that the differential test offers twice: here on Node's
// socket.io, and in transport/socketio/interop_app_test.go on ours. What a
// client asks for in "do" is a list of operations, carried out in order.

// The namespaces of a lane, by their short names. Scenarios that run at the
// same time have a lane each, so that they can't hear one another.
export const namespaces = (lane) => {
  const base = lane === 0 ? "" : `/l${lane}`;
  return { main: base || "/", chat: `${base}/chat`, guarded: `${base}/guarded`, watch: `${base}/watch` };
};

export function serve(io, lanes) {
  for (let lane = 0; lane < lanes; lane++) serveLane(io, namespaces(lane));
}

function serveLane(io, names) {
  const present = new Map(); // "namespace name" → socket
  let waiting = []; // [key, resolve]
  const watch = io.of(names.watch);

  watch.on("connection", (socket) => {
    socket.on("settle", (ack) => ack());
    socket.on("gone", (nsp, name, ack) => {
      const key = `${nsp} ${name}`;
      if (present.has(key)) waiting.push([key, ack]);
      else ack();
    });
    socket.on("who", (nsp, rooms, ack) => {
      const found = new Set();
      for (const [key, s] of present) {
        if (key.startsWith(nsp + " ") && rooms.some((r) => s.rooms.has(r))) found.add(s.data.name);
      }
      ack([...found].sort());
    });
  });

  for (const short of ["main", "chat", "guarded"]) {
    const nsp = io.of(names[short]);
    const room = (r) => (r.startsWith("@") ? (present.get(`${short} ${r.slice(1)}`)?.id ?? r) : r);
    const target = (socket, t) => {
      let to = t.from === "nsp" ? nsp : socket;
      if (t.from === "other") to = io.of(names[t.nsp]);
      if (t.volatile) to = to.volatile;
      if (t.from === "broadcast") to = to.broadcast;
      if (t.to) to = to.to(t.to.map(room));
      if (t.except) to = to.except(t.except.map(room));
      return to;
    };

    if (short === "guarded") {
      nsp.use((socket, next) => {
        const { token } = socket.handshake.auth;
        if (token === "bare") return next(new Error("no entry"));
        if (token === "data") {
          const e = new Error("not now");
          e.data = { retry: 3, why: ["a", null, { b: "<&>" }] };
          return next(e);
        }
        if (token === "list") {
          const e = new Error("");
          e.data = [1, "two"];
          return next(e);
        }
        socket.join("early");
        next();
      });
    }

    nsp.on("connection", (socket) => {
      const { name } = socket.handshake.auth;
      const key = `${short} ${name}`;
      if (name) { // raw peers have none, and keep to themselves
        socket.data.name = name;
        present.set(key, socket);
        socket.join("lobby");
        socket.emit("welcome", socket.handshake.auth);
        socket.to("lobby").emit("joined", name);
        nsp.to("early").emit("early", name);
      }

      socket.on("disconnect", (reason) => {
        if (!name) return;
        present.delete(key);
        watch.emit("left", short, name, reason);
        const done = waiting.filter(([k]) => k === key);
        waiting = waiting.filter(([k]) => k !== key);
        for (const [, ack] of done) ack();
      });

      socket.on("settle", (ack) => ack());
      const echo = (event) => socket.on(event, (...args) => {
        if (typeof args.at(-1) === "function") args.pop()(...args);
        else socket.emit(event, ...args);
      });
      for (const event of ["echo", "", "message", "ünï \"q\"", "7"]) echo(event);

      socket.on("do", async (ops, ack) => {
        const results = [];
        for (const [op, ...a] of ops) {
          switch (op) {
            case "join": socket.join(a); break;
            case "leave": a.forEach((r) => socket.leave(r)); break;
            case "rooms": results.push([...socket.rooms].map((r) => (r === socket.id ? "@self" : r)).sort()); break;
            case "handshake": {
              const { auth, query, headers, xdomain, secure, url } = socket.handshake;
              results.push({ auth, eio: query.EIO, header: headers["x-test"] ?? null, path: url.split("?")[0], q: query.q ?? null, secure, xdomain });
              break;
            }
            case "transport": results.push(socket.conn.transport.name); break;
            case "emit":
              try {
                socket.emit(...a);
              } catch {
                results.push("refused");
              }
              break;
            case "types":
              socket.emit("types", 0, -1.5, 9007199254740991, 1e21, 5e-324, "<é\u2028\u0000\"\\/😀>", true, false, null, [], {}, { b: [1, { c: null }], a: "x" });
              socket.emit("binary", Buffer.from([0, 1, 255]), { deep: [Buffer.from("two"), "text"], z: Buffer.alloc(0) });
              break;
            case "send": {
              const [t, ...rest] = a;
              target(socket, t).emit(...rest);
              break;
            }
            case "count": results.push((await target(socket, a[0]).fetchSockets()).length); break;
            case "joinAll": target(socket, a[0]).socketsJoin(a[1]); break;
            case "leaveAll": target(socket, a[0]).socketsLeave(a[1]); break;
            case "ack":
              ack?.(...a);
              break;
            case "ask": {
              const answer = await new Promise((resolve) => socket.emit(...a, (...args) => resolve(args)));
              socket.emit("answer", ...answer);
              break;
            }
            case "askInVain":
              await socket.timeout(100).emitWithAck(...a).then(() => results.push("answered"), () => results.push("timeout"));
              break;
            case "kick": target(socket, a[0]).disconnectSockets(a[1]); break;
            case "bye": socket.disconnect(a[0]); break;
            default: results.push(`unknown ${op}`);
          }
        }
        ack?.(...results);
      });
    });
  }
}
