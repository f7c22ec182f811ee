"""The port of a node on which the API server asks for logs, so that `kubectl logs` works."""

import asyncio
import ssl
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import BinaryIO

from aiohttp import web

from tests.cluster.harness.node.settings import Settings

PORT = 10250
POLL = 0.2


def path_of(folder: Path, namespace: str, pod: str, container: str) -> Path:
    """Where the output of all runs of a container is."""
    return folder / "logs" / f"{namespace}_{pod}_{container}.log"


@asynccontextmanager
async def serving(address: str, settings: Settings) -> AsyncIterator[None]:
    """Nobody is asked who he is: nothing but the cluster reaches the node."""
    app, folder = web.Application(), Path(settings.folder)

    async def logs(request: web.Request) -> web.StreamResponse:
        match = request.match_info
        return await _answer(request, path_of(folder, match["ns"], match["pod"], match["name"]))

    app.router.add_get("/containerLogs/{ns}/{pod}/{name}", logs)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(settings.certificate, settings.key)
    # A request that follows a log never ends by itself, and isn't waited for.
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    try:
        await web.TCPSite(runner, address, PORT, ssl_context=context).start()
        yield
    finally:
        await runner.cleanup()


async def _answer(request: web.Request, path: Path) -> web.StreamResponse:
    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise web.HTTPNotFound(text=f"{path.stem} has no log yet\n") from None
    with file:
        reply = web.StreamResponse(headers={"Content-Type": "text/plain"})
        await reply.prepare(request)
        lines = request.query.get("tailLines")
        await reply.write(b"".join(deque(file, int(lines) if lines else None)))
        if request.query.get("follow") == "true":
            await _follow(file, reply)
        await reply.write_eof()
    return reply


async def _follow(file: BinaryIO, reply: web.StreamResponse) -> None:
    """Until the reader leaves; a container that is started again writes to the same file."""
    while True:
        if chunk := file.read():
            await reply.write(chunk)
        await asyncio.sleep(POLL)
