// Serves the application on Node's socket.io. The argument holds options, as
// JSON. The first line of output is the port; the end of input ends it.
import { createServer } from "node:http";
import { Server } from "socket.io";
import { serve } from "./app.mjs";

const http = createServer((_, res) => res.writeHead(404).end());
const { lanes = 1, ...options } = JSON.parse(process.argv[2] ?? "{}");
serve(new Server(http, options), lanes);
http.listen(0, "127.0.0.1", () => console.log(http.address().port));
process.stdin.resume().on("end", () => process.exit(0));
