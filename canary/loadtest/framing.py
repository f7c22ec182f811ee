"""Where an HTTP/1.1 response ends: the bytes come in, the status and an end come out.

Nothing here knows about sockets. Bodies are counted off and forgotten, for a load
generator only wants to know that they came in full (RFC 9112, section 6.3).
"""

from collections.abc import Callable

MAX_HEAD = 65_536
MAX_LINE = 4_096


class FramingError(ValueError):
    """What came is not an HTTP/1.1 response."""


class Response:
    """One response. Feed it until it is `done`; `FramingError` says it never will be.

    `status` is 0 until the head is complete, `captured` holds the headers that were asked
    for, by their lower-case names, and `reusable` says that the connection may carry on.
    """

    __slots__ = (
        "_at", "_bodyless", "_data", "_left", "_step", "_wanted",
        "captured", "done", "reusable", "status", "untouched",
    )  # fmt: skip

    def __init__(self, wanted: frozenset[bytes] = frozenset(), *, bodyless: bool = False) -> None:
        self._wanted = wanted
        self._bodyless = bodyless
        self._data = b""
        self._at = 0
        self._left = 0
        # Not a bound method: that would be a cycle, and work for the collector, per response.
        self._step: Callable[[Response], bool] = Response._head
        self.status = 0
        self.captured: dict[str, str] = {}
        self.reusable = True
        self.done = False
        self.untouched = True
        """Not a byte has come yet."""

    def feed(self, data: bytes) -> None:
        self.untouched = False
        self._data = self._data[self._at :] + data if self._at < len(self._data) else data
        self._at = 0
        while not self.done and self._step(self):
            pass
        if self.done and self._at < len(self._data):
            self.reusable = False  # more than was asked for: nobody can tell what it belongs to

    def eof(self) -> bool:
        """The server has closed. True when that is how this response was meant to end."""
        self.reusable = False
        self.done = self.done or self._step is Response._until_closed
        return self.done

    def _head(self) -> bool:
        """Read the head once it is complete; True when there may be more to read."""
        end = self._data.find(b"\r\n\r\n", self._at)
        if end < 0:
            if len(self._data) - self._at > MAX_HEAD:
                raise FramingError("the head of the response is longer than 64 KiB")
            return False
        line, *fields = self._data[self._at : end].split(b"\r\n")
        self._at = end + 4
        status = _status(line)
        if 100 <= status < 200:
            if status == 101:
                raise FramingError("the server switched protocols, which nobody asked for")
            return True  # an interim response; the real one follows
        self.status = status
        self._frame(line.startswith(b"HTTP/1.0"), fields)
        return True

    def _frame(self, old: bool, fields: list[bytes]) -> None:
        """Choose how the body is read. A transfer coding outranks a length."""
        length, coding, persistent = -1, b"", not old
        for field in fields:
            name, _, value = field.partition(b":")
            name = name.lower()
            if name == b"content-length":
                length = _length(value, length)
            elif name == b"transfer-encoding":
                coding = value.strip().lower()
            elif name == b"connection":
                persistent = _persistent(value.lower(), persistent)
            if name in self._wanted:
                self.captured[name.decode("latin-1")] = value.strip().decode("latin-1")
        self.reusable = persistent
        self._choose(length, coding)

    def _choose(self, length: int, coding: bytes) -> None:
        if self._bodyless or self.status in {204, 304} or (not coding and length == 0):
            self.done = True
        elif coding:
            chunked = coding.endswith(b"chunked")
            self._step = Response._size if chunked else Response._until_closed
        elif length > 0:
            self._left, self._step = length, Response._fixed
        else:
            self._step = Response._until_closed

    def _fixed(self) -> bool:
        self.done = self._skip()
        return False

    def _until_closed(self) -> bool:
        self._at = len(self._data)
        return False

    def _size(self) -> bool:
        """The line before a chunk: its size in hex, perhaps with extensions behind a `;`."""
        line = self._line()
        if line is None:
            return False
        size = line.partition(b";")[0].strip()
        # int() would also take a sign, an underscore or a prefix.
        if not size or size.strip(b"0123456789abcdefABCDEF"):
            raise FramingError(f"{size[:20]!r} where the size of a chunk should be")
        self._left = int(size, 16)
        self._step = Response._chunk if self._left else Response._trailer
        return True

    def _chunk(self) -> bool:
        if not self._skip():
            return False
        self._step = Response._chunk_end
        return True

    def _chunk_end(self) -> bool:
        line = self._line()
        if line is None:
            return False
        if line:
            raise FramingError("a chunk is longer than its size")
        self._step = Response._size
        return True

    def _trailer(self) -> bool:
        line = self._line()
        self.done = line == b""
        return line is not None

    def _skip(self) -> bool:
        """Forget what belongs to the body; True when nothing of it is left to come."""
        taken = min(self._left, len(self._data) - self._at)
        self._left -= taken
        self._at += taken
        return not self._left

    def _line(self) -> bytes | None:
        end = self._data.find(b"\r\n", self._at)
        if end < 0:
            if len(self._data) - self._at > MAX_LINE:
                raise FramingError("a line of the chunked body is longer than 4 KiB")
            return None
        line, self._at = self._data[self._at : end], end + 2
        return line


def _status(line: bytes) -> int:
    version, _, rest = line.partition(b" ")
    code = rest[:3]
    if not version.startswith(b"HTTP/1.") or not code.isdigit() or len(code) < 3:
        raise FramingError(f"{line[:40]!r} where a status line should be")
    return int(code)


def _length(value: bytes, before: int) -> int:
    text = value.strip()
    if not text.isdigit() or (before >= 0 and int(text) != before):
        raise FramingError(f"{text[:40]!r} as a content length")
    return int(text)


def _persistent(options: bytes, otherwise: bool) -> bool:
    if b"close" in options:
        return False
    return otherwise or b"keep-alive" in options
