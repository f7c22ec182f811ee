"""`kill -9` while many write: what was acknowledged is there, and nothing is there by half."""

import asyncio
import json
import random
import sys
from pathlib import Path

from canary.cluster.embedded import Embedded
from canary.cluster.port import Kind, Ref

CONFIG_MAP = Kind("v1", "ConfigMap")
ROUNDS = 6

# Four tasks write two fields at once, over and over, and every tenth time make an object anew. A
# line is printed only when a write was acknowledged.
WRITER = """
import asyncio, sys
from pathlib import Path
from canary.cluster.embedded import Embedded
from canary.cluster.port import Kind, Ref

async def write(cluster, name):
    ref = Ref(Kind("v1", "ConfigMap"), "default", name)
    patch = lambda n: {"data": {"first": str(n), "filler": "x" * (n % 3000), "last": str(n)}}
    start = int((await cluster.apply(ref.manifest(), manager="w")).get("data", {}).get("last", 0))
    for n in range(start + 1, 1_000_000):
        if n % 10 == 0:
            await cluster.delete(ref)
            await cluster.create(ref.manifest(**patch(n)))
        else:
            await cluster.patch(ref, patch(n), manager="w")
        print(name, n, flush=True)

async def main():
    cluster = await Embedded.open(Path(sys.argv[1]))
    await asyncio.gather(*(write(cluster, name) for name in "abcd"))

asyncio.run(main())
"""


async def acknowledged_until_killed(path: Path, lines: int) -> dict[str, int]:
    """Let the writer run until it has acknowledged so many writes, then a moment, then no more."""
    writer = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WRITER, str(path), stdout=asyncio.subprocess.PIPE
    )
    assert writer.stdout
    async with asyncio.timeout(60):
        output = [await writer.stdout.readline() for _ in range(lines)]
        assert all(output), "the writer ended by itself"
        await asyncio.sleep(random.uniform(0, 0.003))
        writer.kill()
        output += (await writer.stdout.read()).splitlines(keepends=True)
        await writer.wait()
    pairs = (line.split() for line in output if line.endswith(b"\n"))
    return {name.decode(): int(number) for name, number in pairs}


async def test_no_acknowledged_write_is_lost_to_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    for _ in range(ROUNDS):
        acknowledged = await acknowledged_until_killed(path, random.randint(1, 300))
        cluster = await Embedded.open(path)
        assert cluster.set_aside is None
        for name, number in acknowledged.items():
            ref = Ref(CONFIG_MAP, "default", name)
            found = {Ref.of(item): item for item in (await cluster.list(CONFIG_MAP)).items}.get(ref)
            if found is None:
                # The next write was due to delete it, and got that far.
                assert number % 10 == 9, (name, number)
                continue
            data = found["data"]
            assert data["first"] == data["last"], json.dumps(data)
            assert len(data["filler"]) == int(data["last"]) % 3000
            assert int(data["last"]) - number in (0, 1), (name, number)
        await cluster.close()
