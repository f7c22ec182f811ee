"""A controller to be killed: `python controller.py FOLDER` looks after whatever is in the state."""

import asyncio
import sys
from pathlib import Path

from canary.cluster.cache import Cache
from canary.cluster.embedded import Embedded
from canary.local.processes.supervisor import Supervisor


async def main(folder: Path) -> None:
    cluster = await Embedded.open(folder / "state" / "state.db")
    cache = Cache(cluster)
    await Supervisor(cluster, cache, folder / "state", base_dir=folder).run()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
