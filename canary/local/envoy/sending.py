"""Sends files to Envoy and waits for what it says to them."""

import asyncio
from collections.abc import Mapping, Sequence

from canary.errors import ProviderError
from canary.local.envoy.admin import Admin
from canary.local.envoy.files import Files
from canary.local.envoy.log import Log
from canary.local.envoy.names import Json

DEADLINE = 5.0
"""Seconds in which Envoy has to say what became of a file; it takes some milliseconds."""

EACH = 0.02
"""Seconds more for each resource in it: a thousand Routes at once take some."""

File = tuple[str, str]
"""Kind (lds, cds or rds) and, for the last, the shard."""
Batch = Mapping[File, Sequence[Json]]


class Sender:
    def __init__(self, files: Files, log: Log) -> None:
        self._files, self._log = files, log

    async def send(self, admin: Admin, batch: Batch) -> str:
        """Write what differs and wait until Envoy has it. Returns why it was refused, if it was.

        Raises `ProviderError` if it says neither yes nor no in time; the next call tries again.
        """
        mark = self._log.end()
        versions = {
            file: self._files.put(*file, rows)
            for file, rows in batch.items()
            if self._files.differs(*file, rows)
        }
        if not versions:
            return ""
        words = "nobody has asked yet"
        patience = DEADLINE + EACH * sum(len(batch[file]) for file in versions)
        try:
            async with asyncio.timeout(patience):
                words = await self._answer(admin, versions, mark)
        except TimeoutError:
            silent = f"Envoy has not taken its configuration for {patience:g} s"
            raise ProviderError(silent) from None
        finally:
            if words:
                for file in versions:
                    self._files.forget(*file)
        return words

    async def _answer(self, admin: Admin, versions: Mapping[File, str], mark: int) -> str:
        pause = 0.001
        while True:
            has = await admin.versions()
            if all(each in has.get(_name(file), ()) for file, each in versions.items()):
                return ""
            # Nobody else sends anything, so whatever it refuses now is of this batch.
            if words := self._log.refusals(mark):
                return words
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, 0.05)


def _name(file: File) -> str:
    kind, shard = file
    return f"{kind}-{shard}" if shard else kind
