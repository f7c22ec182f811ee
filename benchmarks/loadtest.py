"""Does the load generator hold 2,000 requests/s on one core of a 2-core machine?

The server is as small as asyncio allows and has a core of its own; the generator has the other
one. Run it as `python -m benchmarks.loadtest [RATE ...]`, with rates in requests/s.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from rich.console import Console
from rich.table import Table

from canary.loadtest.load import Load
from canary.loadtest.plan import Plan
from canary.loadtest.report import Report
from canary.loadtest.show import seconds

RATES = (500.0, 2_000.0, 5_000.0, 10_000.0)
SECONDS = 5.0

SERVER = r"""
import asyncio

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Version: v1\r\n\r\nok"

class Answer(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport, self.rest = transport, b""

    def data_received(self, data):
        *whole, self.rest = (self.rest + data).split(b"\r\n\r\n")
        self.transport.write(OK * len(whole))

async def main():
    server = await asyncio.get_running_loop().create_server(Answer, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

asyncio.run(main())
"""


@asynccontextmanager
async def serving() -> AsyncIterator[str]:
    """A server in another process; gives its address."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SERVER, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        port = int(await process.stdout.readline())
        pin(process.pid, 0)
        yield f"http://127.0.0.1:{port}/"
    finally:
        process.kill()
        await process.wait()


def pin(pid: int, number: int) -> None:
    """Keep a process on one core, where the system lets us and has more than one."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_setaffinity") else []
    if len(cores) > 1:
        os.sched_setaffinity(pid, {cores[number]})


async def measure(url: str, rate: float) -> Report:
    return await Load(Plan(url, rate=rate, duration=SECONDS, capture=("x-version",))).run()


async def main(rates: list[float]) -> None:
    table = Table(title=f"Load generator, {SECONDS:g} s each, one core")
    for head in ("asked/s", "achieved/s", "CPU", "p50", "p99", "failed", "rate kept"):
        table.add_column(head, justify="right")
    words: list[str] = []
    async with serving() as url:
        pin(0, 1)
        for rate in rates:
            report = await measure(url, rate)
            table.add_row(
                f"{rate:,.0f}",
                f"{report.achieved:,.1f}",
                f"{report.cpu:.0%}",
                *(seconds(report.latency.quantile(q)) for q in (0.5, 0.99)),
                f"{report.failed:,}",
                "yes" if report.kept_rate else "no",
            )
            if report.shortfall:
                words.append(report.shortfall)
    Console().print(table, *words, sep="\n")


if __name__ == "__main__":
    asyncio.run(main([float(text) for text in sys.argv[1:]] or list(RATES)))
