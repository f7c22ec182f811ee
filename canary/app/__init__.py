"""Everything put together: which parts make up the program in the place where it runs."""

from pathlib import Path

from canary.settings import Settings


async def run_local(folder: Path, settings: Settings, *, keep: bool = False) -> int:
    """`canary local`: run a folder's Canaries and Processes until it is told to stop."""
    from canary.app.local import run

    return await run(folder, settings, keep=keep)
