"""Doors into the network: ports outside that lead to ports inside."""

import asyncio
import socket
from contextlib import suppress

CHUNK = 2**16


def door() -> socket.socket:
    """A port in the network of the calling thread; a socket stays where it was made."""
    return socket.create_server(("127.0.0.1", 0), backlog=128)


async def lead(door: socket.socket, address: str) -> asyncio.Server:
    """Pass connections on to `address`, host and port, in the network of the calling thread."""
    host, _, port = address.rpartition(":")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            back, forth = await asyncio.open_connection(host, int(port))
        except OSError:
            writer.close()
            return
        await asyncio.gather(_copy(reader, forth), _copy(back, writer))

    return await asyncio.start_server(serve, sock=door)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One direction, until its end; the other may go on."""
    with suppress(OSError):
        while chunk := await reader.read(CHUNK):
            writer.write(chunk)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
            return
    writer.close()
