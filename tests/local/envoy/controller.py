"""A controller to be killed: a data plane over a state file, until somebody ends the process."""

import asyncio
import sys
from pathlib import Path

from canary.cluster.cache import Cache
from canary.cluster.embedded import Embedded
from canary.local.envoy.dataplane import DataPlane


async def main(folder: Path) -> None:
    cluster = await Embedded.open(folder / "state.db")
    plane = DataPlane(cluster, Cache(cluster), folder / "state", workers=1)
    await plane.start()
    print(plane.pid, flush=True)
    await plane.run()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
