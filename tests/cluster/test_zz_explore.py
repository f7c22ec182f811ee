import asyncio, time, pytest
from tests.cluster.connected import *
from canary.cluster import kubernetes
from canary.cluster.port import *
async def test_x(client, place, monkeypatch, bare_cluster):
    SECRET=Kind("v1","Secret")
    EVENT=Kind("v1","Event")
    await client.create(Ref(SECRET, place, "first").manifest())
    t0=time.monotonic()
    async def show(what, it, n=20):
        try:
            async for c in it:
                print(f"{time.monotonic()-t0:6.2f}", what, c.type, c.object["metadata"].get("name"), c.object["metadata"]["resourceVersion"], flush=True)
            print(f"{time.monotonic()-t0:6.2f}", what, "END", flush=True)
        except Exception as e: print(what, repr(e))
    monkeypatch.setattr(kubernetes, "WATCH", 5)
    s=(await client.list(SECRET, place)).resource_version
    print("since", s)
    tasks=[asyncio.create_task(show("short", client.watch(SECRET, place, s)))]
    tasks.append(asyncio.create_task(show("all", client.watch(SECRET, "", s))))
    tasks.append(asyncio.create_task(show("empty", client.watch(SECRET, place))))
    await asyncio.sleep(.3)
    await client.create(Ref(SECRET, "default", f"other-{place}").manifest())
    await asyncio.gather(*tasks)
    monkeypatch.setattr(kubernetes, "WATCH", 130)
    s=(await client.list(SECRET, place)).resource_version
    e=(await client.list(EVENT, place)).resource_version
    tasks=[asyncio.create_task(show("long", client.watch(SECRET, place, s))),asyncio.create_task(show("events", client.watch(EVENT, place, e)))]
    await asyncio.wait(tasks, timeout=140)
    for t in tasks: t.cancel()
