"""A WebSocket server that tells what it was told and echoes, and a client that asks for it through the gateway."""
import asyncio
import json
import os
import sys

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed, InvalidStatus

LARGE = 10 * 1024 * 1024


async def answer(socket):
    headers = socket.request.headers
    await socket.send(json.dumps({name: headers.get(name) for name in ("X-User-Name", "Authorization", "Origin")}))
    async for message in socket:
        if message == "leave":
            await socket.close(4001, "as you like")
            return
        await socket.send(message)


async def run_server(port):
    async with serve(answer, "127.0.0.1", port, max_size=2 * LARGE, subprotocols=["chat"]):
        await asyncio.Future()


async def call(port):
    checks = 0

    def expect(what, wanted, had):
        nonlocal checks
        if wanted != had:
            sys.exit(f"{what}: wanted {wanted!r}, had {had!r}")
        checks += 1

    def to(path, origin=None, token=os.environ["TOKEN"]):
        headers = {"Authorization": f"Bearer {token}", "X-User-Name": "root"} if token else {}
        url = f"ws://127.0.0.1:{port}{path}"
        return connect(url, origin=origin, additional_headers=headers, subprotocols=["chat"], max_size=2 * LARGE, proxy=None)

    async def status(*arguments, **more):
        try:
            async with to(*arguments, **more):
                return 101
        except InvalidStatus as refused:
            return refused.response.status_code

    for _ in range(100):
        if await status("/") == 101:
            break
        await asyncio.sleep(0.1)

    async with to("/chat", origin="https://app.test") as socket:
        told = json.loads(await socket.recv())
        expect("who is calling", "alice", told["X-User-Name"])
        expect("the credential", None, told["Authorization"])
        expect("the page", "https://app.test", told["Origin"])
        expect("the protocol", "chat", socket.subprotocol)
        expect("compression", True, "permessage-deflate" in socket.response.headers["Sec-WebSocket-Extensions"])
        await asyncio.wait_for(await socket.ping(), 10)
        for message in ["", "hello", "ü" * 70_000, bytes(range(256)), os.urandom(LARGE)]:
            await socket.send(message)
            expect("an echo", True, await socket.recv() == message)
        await socket.send("leave")
        try:
            await socket.recv()
            sys.exit("the server's close did not arrive")
        except ConnectionClosed as closed:
            expect("the reason of a close", (4001, "as you like"), (closed.rcvd.code, closed.rcvd.reason))

    expect("no token", 401, await status("/", token=None))
    expect("a page of another origin", 403, await status("/", origin="https://evil.test"))
    async with to("/one") as socket:
        await socket.recv()
        expect("one too many", 429, await status("/one"))
    for _ in range(100):
        if await status("/one") == 101:
            break
        await asyncio.sleep(0.05)
    expect("the place once it is free", 101, await status("/one"))

    sockets = await asyncio.gather(*(to("/many").__aenter__() for _ in range(100)))
    await asyncio.gather(*(socket.send(str(n)) for n, socket in enumerate(sockets)))
    for n, socket in enumerate(sockets):
        await socket.recv()
        expect("each its own", str(n), await socket.recv())
    await asyncio.gather(*(socket.close() for socket in sockets))
    print(f"websockets: {checks} checks, 0 failed")


role, port = sys.argv[1], int(sys.argv[2])
asyncio.run(run_server(port) if role == "serve" else call(port))
