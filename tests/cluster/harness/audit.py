"""Who asked the API server for what: its audit log, counted."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Self

WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})


@dataclass(frozen=True, slots=True)
class Request:
    """One request that was answered; a watch counts when it begins."""

    agent: str
    user: str
    verb: str
    resource: str
    """With its subresource, as in `canaries/status`; empty for `/readyz` and the like."""
    namespace: str
    name: str
    code: int
    at: datetime
    path: str

    @property
    def is_write(self) -> bool:
        return self.verb in WRITES

    @classmethod
    def of(cls, event: dict[str, Any]) -> Self:
        target = event.get("objectRef", {})
        parts = (target.get("resource", ""), target.get("subresource", ""))
        return cls(
            agent=event.get("userAgent", ""),
            user=event["user"].get("username", ""),
            verb=event["verb"],
            resource="/".join(filter(None, parts)),
            namespace=target.get("namespace", ""),
            name=target.get("name", ""),
            code=event.get("responseStatus", {}).get("code", 0),
            at=datetime.fromisoformat(event["requestReceivedTimestamp"]),
            path=event["requestURI"],
        )


@dataclass(frozen=True)
class Audit:
    """A request is in here by the time its answer arrives."""

    path: Path

    def mark(self) -> int:
        """Now, for the questions below."""
        return self.path.stat().st_size if self.path.exists() else 0

    def since(self, mark: int = 0, agent: str = "") -> list[Request]:
        """What was asked after a mark by clients whose user agent starts like this."""
        return [each for each in self._read(mark) if each.agent.startswith(agent)]

    def count(self, mark: int = 0, agent: str = "") -> Counter[tuple[str, str]]:
        """How often each pair of verb and resource was asked for: `patch`, `pods/status`."""
        return Counter((each.verb, each.resource) for each in self.since(mark, agent))

    def _read(self, mark: int) -> Iterator[Request]:
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            file.seek(mark)
            for line in file:
                # The server may be in the middle of its last line.
                if line.endswith(b"\n") and _counts(event := json.loads(line)):
                    yield Request.of(event)


def _counts(event: dict[str, Any]) -> bool:
    """Long-running requests are told of twice, when they start and when they end.

    Who isn't known is refused so early that there is no end to tell of.
    """
    if event.get("responseStatus", {}).get("code") == 401:
        return bool(event["stage"] == "ResponseStarted")
    if event["verb"] == "watch":
        return bool(event["stage"] == "ResponseStarted") or _refused(event)
    return bool(event["stage"] in ("ResponseComplete", "Panic"))


def _refused(event: dict[str, Any]) -> bool:
    """A watch that was never started has only an end."""
    status = event.get("responseStatus", {}).get("code", 0)
    return bool(event["stage"] == "ResponseComplete" and status >= 300)
