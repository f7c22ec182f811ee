"""The status API, as the commands speak to it: JSON both ways, errors in words.

Made of `http.client`, which is there in a few milliseconds and can read a stream line by line.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from canary.errors import (
    ClusterError,
    Conflict,
    Forbidden,
    LocalError,
    NotFound,
    Problem,
    SpecError,
)

STREAM = "text/event-stream"
HOW_TO_START = (
    "start one with 'canary local DIR', or name one with --server or the variable CANARY_SERVER"
)
STATUSES: dict[int, type[ClusterError]] = {
    401: Forbidden,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    412: Conflict,
}
Query = Mapping[str, str | int | float | None]


class NobodyThere(LocalError):
    """Nothing answers at the address."""


@dataclass(frozen=True, slots=True)
class Api:
    """One server. `timeout` is in seconds and counts for connecting and for each answer."""

    url: str
    timeout: float = 10.0

    def get(self, path: str, query: Query | None = None) -> Any:
        """The JSON at a path. Raises a `CanaryError` for everything that goes wrong."""
        return self._ask("GET", _target(path, query), None, self.timeout)

    def post(
        self, path: str, body: Mapping[str, Any], query: Query | None = None, patience: float = 0.0
    ) -> Any:
        """The same with a body; `patience` are seconds that the answer may take besides."""
        return self._ask("POST", _target(path, query), json.dumps(body), self.timeout + patience)

    def events(self, path: str, query: Query | None = None) -> Iterator[tuple[str, Any]]:
        """The name and the JSON of each server-sent event, until the server ends the stream."""
        with closing(self._connect(self.timeout)) as connection:
            reply = self._send(connection, "GET", _target(path, query), None, STREAM)
            if connection.sock:
                # Quiet is no fault: nothing may happen to a Canary for days.
                connection.sock.settimeout(None)
            try:
                for name, text in _messages(reply):
                    yield name, _parsed(text, self.url)
            except (OSError, HTTPException) as error:
                raise NobodyThere(f"{self.url} went away: {_words(error)}") from error

    def _ask(self, method: str, target: str, body: str | None, timeout: float) -> Any:
        with closing(self._connect(timeout)) as connection:
            reply = self._send(connection, method, target, body, "application/json")
            try:
                return _parsed(reply.read().decode(errors="replace"), self.url)
            except (OSError, HTTPException) as error:
                raise NobodyThere(f"{self.url} went away: {_words(error)}") from error

    def _send(
        self, connection: HTTPConnection, method: str, target: str, body: str | None, accept: str
    ) -> HTTPResponse:
        headers = {"Accept": accept}
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            prefix = urlsplit(self.url).path.rstrip("/")
            connection.request(method, f"{prefix}{target}", body, headers)
            reply = connection.getresponse()
            if reply.status < 300:
                return reply
            text = reply.read().decode(errors="replace")
        except TimeoutError as error:
            seconds = f"{connection.timeout:g} s"
            raise NobodyThere(f"{self.url} has not answered within {seconds}") from error
        except (OSError, HTTPException) as error:
            words = f"nobody answers at {self.url}: {_words(error)}\n{HOW_TO_START}"
            raise NobodyThere(words) from error
        raise _refusal(reply.status, text, self.url)

    def _connect(self, timeout: float) -> HTTPConnection:
        try:
            parts = urlsplit(self.url)
            port, host = parts.port, parts.hostname
        except ValueError:
            port = host = None
            parts = urlsplit("")
        if parts.scheme not in ("http", "https") or not host or " " in self.url:
            expected = "an address such as http://127.0.0.1:8080"
            raise SpecError(Problem("--server", "", repr(self.url), expected))
        kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        return kind(host, port, timeout=timeout)


def path_of(root: str, *names: str) -> str:
    """The path of something below another one; names may hold anything.

    >>> path_of("/api/v1/canaries", "default", "a b")
    '/api/v1/canaries/default/a%20b'
    """
    return "/".join((root, *(quote(each, safe="") for each in names)))


def _messages(lines: Iterable[bytes]) -> Iterator[tuple[str, str]]:
    """Name and data of each message of an event stream; comments and bookmarks have no data."""
    name, data = "", list[str]()
    for raw in lines:
        line = raw.decode(errors="replace").rstrip("\r\n")
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            data.append(value)
        elif field == "event":
            name = value
        elif not line:
            if data:
                yield name, "\n".join(data)
            name, data = "", []


def _target(path: str, query: Query | None) -> str:
    given = {key: str(value) for key, value in (query or {}).items() if value is not None}
    return f"{path}?{urlencode(given)}" if given else path


def _parsed(text: str, url: str) -> Any:
    try:
        said = json.loads(text)
    except ValueError:
        said = None
    if not isinstance(said, dict):
        raise ClusterError(f"{url} answers, but not as canary's status API does")
    return said


def _refusal(status: int, text: str, url: str) -> Exception:
    """What the server said no to, from its problem+json (RFC 9457)."""
    try:
        said = json.loads(text)
    except ValueError:
        said = {}
    if not isinstance(said, dict) or not (said.get("title") or said.get("detail")):
        return ClusterError(f"{url} answers with status {status}, not as canary's status API does")
    problems = [_problem(each) for each in said.get("errors") or ()]
    if problems:
        return SpecError(*problems)
    words = str(said.get("detail") or said["title"])
    return STATUSES.get(status, ClusterError)(words)


def _problem(said: Any) -> Problem:
    if not isinstance(said, dict):
        return Problem("the request", "", str(said), "something else")
    names = ("where", "field", "found", "expected", "nearest")
    return Problem(**{name: str(said.get(name) or "") for name in names})


def _words(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error) or type(error).__name__
