"""Takes the Python client through what every client does, as matrix.mjs does."""

import asyncio
import json
import queue
import sys

import socketio

arg = json.loads(sys.argv[1])
url, transport = arg["url"], arg["transport"]
transports = ["polling", "websocket"] if transport == "upgrade" else [transport]


def plain(v):
    if isinstance(v, (bytes, bytearray)):
        return "bytes " + v.hex()
    if isinstance(v, (list, tuple)):
        return [plain(x) for x in v]
    if isinstance(v, dict):
        return {k: plain(x) for k, x in v.items()}
    return v


def say(step, *what):
    print(json.dumps([step, *plain(what)], ensure_ascii=False, separators=(",", ":")), flush=True)


def listen(client, events, wrap):
    """Puts events into queues, as they come."""
    heard = {}
    for event in events:
        heard[event] = wrap()
        client.on(event, lambda *args, event=event: heard[event].put_nowait(args))
    return heard


EVENTS = ["welcome", "echo", "answer", "news", "disconnect"]


def as_list(answer):
    return answer if isinstance(answer, (list, tuple)) else [] if answer is None else [answer]


def run_sync():
    def get(q):
        return q.get(timeout=5)

    def ask(client, event, *args):
        return as_list(client.call(event, args, timeout=5))

    a, b = socketio.Client(reconnection=False), socketio.Client(reconnection=False)
    heard_a, heard_b = (listen(c, EVENTS, queue.Queue) for c in (a, b))
    a.on("ask", lambda n: (n + 1, b"y"))
    a.connect(url, auth={"name": "a", "token": "x"}, transports=transports)
    say("auth", *get(heard_a["welcome"]))
    b.connect(url, auth={"name": "b"}, transports=transports)
    get(heard_b["welcome"])
    say("transport", *ask(a, "do", [["transport"]]))
    a.emit("echo", (1, "two", [None, {"é": True}]))
    say("event", *get(heard_a["echo"]))
    say("ack", *ask(a, "echo", "x", 2))
    say("binary", *ask(a, "echo", b"\x00\xff", {"deep": [b"x"]}))
    a.emit("do", [["ask", "ask", 41]])  # a list is one argument
    say("ack of the server's", *get(heard_a["answer"]))
    ask(b, "do", [["join", "red"]])
    ask(a, "do", [["send", {"from": "socket", "to": ["red"]}, "news", "for red"]])
    say("room", *get(heard_b["news"]))
    c = socketio.Client(reconnection=False)
    errors = queue.Queue()
    c.on("connect_error", errors.put, namespace="/guarded")
    try:
        c.connect(url, auth={"name": "c", "token": "data"}, transports=transports, namespaces=["/guarded"])
        say("refusal", "none")
    except socketio.exceptions.ConnectionError:
        e = get(errors)
        say("refusal", e["message"], e["data"])
    a.emit("do", [["kick", {"from": "nsp", "to": ["red"]}, True]])
    say("kicked", *get(heard_b["disconnect"]))
    a.disconnect()
    say("left", *get(heard_a["disconnect"]))


async def run_async():
    async def get(q):
        return await asyncio.wait_for(q.get(), 5)

    async def ask(client, event, *args):
        return as_list(await client.call(event, args, timeout=5))

    a, b = socketio.AsyncClient(reconnection=False), socketio.AsyncClient(reconnection=False)
    heard_a, heard_b = (listen(c, EVENTS, asyncio.Queue) for c in (a, b))
    a.on("ask", lambda n: (n + 1, b"y"))
    await a.connect(url, auth={"name": "a", "token": "x"}, transports=transports)
    say("auth", *await get(heard_a["welcome"]))
    await b.connect(url, auth={"name": "b"}, transports=transports)
    await get(heard_b["welcome"])
    say("transport", *await ask(a, "do", [["transport"]]))
    await a.emit("echo", (1, "two", [None, {"é": True}]))
    say("event", *await get(heard_a["echo"]))
    say("ack", *await ask(a, "echo", "x", 2))
    say("binary", *await ask(a, "echo", b"\x00\xff", {"deep": [b"x"]}))
    await a.emit("do", [["ask", "ask", 41]])
    say("ack of the server's", *await get(heard_a["answer"]))
    await ask(b, "do", [["join", "red"]])
    await ask(a, "do", [["send", {"from": "socket", "to": ["red"]}, "news", "for red"]])
    say("room", *await get(heard_b["news"]))
    c = socketio.AsyncClient(reconnection=False)
    errors = asyncio.Queue()
    c.on("connect_error", errors.put_nowait, namespace="/guarded")
    try:
        await c.connect(url, auth={"name": "c", "token": "data"}, transports=transports, namespaces=["/guarded"])
        say("refusal", "none")
    except socketio.exceptions.ConnectionError:
        e = await get(errors)
        say("refusal", e["message"], e["data"])
    await a.emit("do", [["kick", {"from": "nsp", "to": ["red"]}, True]])
    say("kicked", *await get(heard_b["disconnect"]))
    await a.disconnect()
    say("left", *await get(heard_a["disconnect"]))


if arg["client"] == "sync":
    run_sync()
else:
    asyncio.run(run_async())
