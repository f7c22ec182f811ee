"""The node as a program: `python -m tests.cluster.harness.node settings.json`."""

import asyncio
import sys
from pathlib import Path

from tests.cluster.harness.node.kubelet import main

if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
