"""How long a change of weight takes until it reaches traffic, on a real Envoy.

Each round turns all traffic to the other side while requests go on, and measures two times from
the write of the Route: until the first request is answered by the other side, and until the
data plane says so in the Route's status (confirmed by Envoy's own words).
"""

import argparse
import asyncio
import tempfile
import time
from pathlib import Path

import aiohttp
from aiohttp import web

from canary.cluster.cache import Cache
from canary.cluster.embedded import Embedded
from canary.cluster.port import Manifest, Ref
from canary.crd.status import Split
from canary.local.envoy.dataplane import DataPlane
from canary.local.envoy.names import PROCESS, ROUTE
from canary.local.ports import free_port

REACH = 0.5
"""Seconds, p99."""
TEST = "test"


def route(name: str, port: int, weight: int) -> Manifest:
    spec = {
        "address": "127.0.0.1",
        "port": port,
        "primary": {"process": "app-primary"},
        "canary": {"process": "app"},
        "split": Split.to_canary(weight).model_dump(by_alias=True),
    }
    return Ref(ROUTE, TEST, name).manifest(spec=spec)


async def serve(cluster: Embedded, process: str) -> web.AppRunner:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(text=process)

    app, port = web.Application(), free_port()
    app.router.add_get("/", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    ref = Ref(PROCESS, TEST, process)
    await cluster.apply(ref.manifest(spec={}), manager="benchmark")
    endpoint = {"address": "127.0.0.1", "port": port, "instance": process, "ready": True}
    status = {"status": {"endpoints": [endpoint]}}
    await cluster.patch(ref, status, manager="benchmark", status=True)
    return runner


async def followed(cluster: Embedded, generation: int) -> None:
    ref = Ref(ROUTE, TEST, "app")
    while True:
        status = (await cluster.get(ref)).get("status") or {}
        if status.get("observedGeneration") == generation:
            return
        await asyncio.sleep(0.0005)


async def answered(session: aiohttp.ClientSession, url: str, by: str) -> None:
    while True:
        async with session.get(url) as reply:
            if await reply.text() == by:
                return


async def one(cluster: Embedded, session: aiohttp.ClientSession, port: int, weight: int) -> float:
    side = "app" if weight else "app-primary"
    began = time.perf_counter()
    made = await cluster.apply(route("app", port, weight), manager="benchmark")
    await answered(session, f"http://127.0.0.1:{port}/", side)
    reached = time.perf_counter() - began
    await followed(cluster, made["metadata"]["generation"])
    return reached


async def changes(cluster: Embedded, port: int, rounds: int) -> list[float]:
    async with aiohttp.ClientSession() as session:
        return [await one(cluster, session, port, 100 if i % 2 == 0 else 0) for i in range(rounds)]


async def measure(rounds: int, others: int) -> list[float]:
    cluster = await Embedded.open(None)
    cache = Cache(cluster)
    with tempfile.TemporaryDirectory() as folder:
        plane = DataPlane(cluster, cache, Path(folder))
        runners = [await serve(cluster, name) for name in ("app-primary", "app")]
        port = free_port()
        made = await cluster.apply(route("app", port, 0), manager="benchmark")
        for i in range(others):
            await cluster.apply(route(f"other-{i}", free_port(), 0), manager="benchmark")
        await plane.start()
        run = asyncio.create_task(plane.run())
        try:
            await followed(cluster, made["metadata"]["generation"])
            times = await changes(cluster, port, rounds)
        finally:
            run.cancel()
            await asyncio.wait({run})
            await plane.stop()
            for runner in runners:
                await runner.cleanup()
            await cache.close()
            await cluster.close()
    return sorted(times)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--others", type=int, default=0, help="more Routes in the same Envoy")
    asked = parser.parse_args()
    times = asyncio.run(measure(asked.rounds, asked.others))
    p50, p99 = times[len(times) // 2], times[min(len(times) - 1, int(len(times) * 0.99))]
    print("weight change to traffic:")
    print(f"  p50 {p50 * 1000:.1f} ms, p99 {p99 * 1000:.1f} ms, max {times[-1] * 1000:.1f} ms")
    print(f"  {len(times)} changes beside {asked.others} other Routes; reach: p99 {REACH} s")
    return 0 if p99 < REACH else 1


if __name__ == "__main__":
    raise SystemExit(main())
