"""The contract of a source of numbers."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Literal, Protocol

from canary.cluster.port import Manifest, Ref
from canary.crd.analysis import Metric
from canary.crd.canary import Canary
from canary.errors import CanaryError
from canary.judge.threshold import Measurement

Side = Literal["canary", "primary"]

Read = Callable[[Ref], Awaitable[Manifest]]
"""Read one object from the API server. Raises `NotFound`."""


class Cache(Protocol):
    """What is known of the cluster without asking it."""

    def get(self, ref: Ref) -> Manifest | None: ...


class Source(Protocol):
    """One way to get the number of a metric. Used by many Canaries at the same time."""

    async def begin(self, canary: Canary, now: datetime) -> None:
        """An interval starts, and what was counted before it does not belong to it.

        Raises `ProviderError`; then the first measurement says that it has nothing to go by.
        """
        ...

    async def measure(
        self, canary: Canary, metric: Metric, side: Side, since: datetime, now: datetime
    ) -> Measurement:
        """The number, from requests between `since` and `now` as far as the source can tell.

        Raises `NoValues` and `MultipleValues` for what they say, `SpecError` for what can't be
        asked as it is written, and `ProviderError` for a source that doesn't answer.
        """
        ...

    async def traffic(self, canary: Canary) -> float | None:
        """Requests a second that reach the canary just now, and those under way; None: unknown."""
        ...

    async def close(self) -> None: ...


class Counting(Source, Protocol):
    """A source that keeps no past of its own: what it says begins with `begin`, in this process."""

    def watched_from(self, canary: Canary) -> datetime | None:
        """When counting began for the interval that is being watched; None if it has not."""
        ...


@contextmanager
def asking(query: str) -> Iterator[None]:
    """Notes the query on whatever goes wrong with it, so that it can be shown beside the error."""
    try:
        yield
    except CanaryError as error:
        error.add_note(query)
        raise


def asked(error: CanaryError) -> str:
    """The query that `asking` has noted, or an empty string."""
    notes: list[str] = getattr(error, "__notes__", [])
    return notes[0] if notes else ""
