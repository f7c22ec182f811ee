from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.loadtest.framing import FramingError, Response

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

# What comes over the wire -> status, done before the server closes, connection reusable.
ROWS: dict[str, tuple[bytes, tuple[int, bool, bool]]] = {
    "a length says where it ends": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        (200, True, True),
    ),
    "a length that was not reached": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello",
        (200, False, True),
    ),
    "an empty body": (b"HTTP/1.1 200 OK\r\ncontent-length:0\r\n\r\n", (200, True, True)),
    "the same length twice": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
        (200, True, True),
    ),
    "chunks end with an empty one": (
        CHUNKED + b"3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n",
        (200, True, True),
    ),
    "chunks with extensions and trailers": (
        CHUNKED + b"3;name=value\r\nabc\r\n0\r\nDigest: x\r\n\r\n",
        (200, True, True),
    ),
    "chunks whose last one is missing": (CHUNKED + b"3\r\nabc\r\n", (200, False, True)),
    "chunks outrank a length": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n" + CHUNKED[17:] + b"2\r\nab\r\n0\r\n\r\n",
        (200, True, True),
    ),
    "without length or chunks the close is the end": (
        b"HTTP/1.1 200 OK\r\n\r\nhello",
        (200, False, True),
    ),
    "no content has no body": (b"HTTP/1.1 204 No Content\r\n\r\n", (204, True, True)),
    "not modified has no body, whatever its length says": (
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n",
        (304, True, True),
    ),
    "an interim response comes before the real one": (
        b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        (200, True, True),
    ),
    "close means that it will close": (
        b"HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 0\r\n\r\n",
        (200, True, False),
    ),
    "HTTP/1.0 closes": (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", (200, True, False)),
    "HTTP/1.0 stays when it says so": (
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n",
        (200, True, True),
    ),
    "more than the response spoils the connection": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxHTTP/1.1 200",
        (200, True, False),
    ),
    "a status without a reason": (b"HTTP/1.1 500\r\nContent-Length: 0\r\n\r\n", (500, True, True)),
}


def outcome(*pieces: bytes) -> tuple[int, bool, bool]:
    response = Response()
    for piece in pieces:
        if not response.done:
            response.feed(piece)
    return response.status, response.done, response.reusable


@pytest.mark.parametrize(("wire", "expected"), ROWS.values(), ids=ROWS)
def test_response(wire: bytes, expected: tuple[int, bool, bool]) -> None:
    assert outcome(wire) == expected


@given(st.data())
@pytest.mark.parametrize("wire", [row[0] for row in ROWS.values()], ids=ROWS)
def test_does_not_care_where_the_pieces_were_cut(wire: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=8)))
    edges = [0, *cuts, len(wire)]
    pieces = [wire[a:b] for a, b in pairwise(edges)]
    # What follows a response may arrive when it is already done, and then comes to nobody here.
    assert outcome(*pieces)[:2] == outcome(wire)[:2]


MALFORMED = {
    "another protocol": b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
    "no status": b"HTTP/1.1 OK\r\n\r\n",
    "a protocol switch": b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
    "a negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    "a chunk size that is none": CHUNKED + b"0x3\r\nabc\r\n",
    "a chunk with a signed size": CHUNKED + b"+3\r\nabc\r\n",
    "a chunk that is longer than its size": CHUNKED + b"2\r\nabc\r\n",
    "an endless head": b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000,
    "an endless chunk size": CHUNKED + b"0" * 5_000,
}


@pytest.mark.parametrize("wire", MALFORMED.values(), ids=MALFORMED)
def test_refuses(wire: bytes) -> None:
    with pytest.raises(FramingError):
        Response().feed(wire)


@given(st.binary(max_size=200))
def test_never_fails_in_another_way(garbage: bytes) -> None:
    for wire in (garbage, CHUNKED + garbage, b"HTTP/1.1 200 OK\r\n" + garbage):
        try:
            Response().feed(wire)
        except FramingError:
            continue


def test_a_close_ends_a_response_without_a_length() -> None:
    response = Response()
    response.feed(b"HTTP/1.1 200 OK\r\n\r\nhello")
    assert response.eof()


def test_a_close_does_not_end_a_response_with_a_length() -> None:
    response = Response()
    response.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello")
    assert not response.eof()


def test_a_head_only_response_has_no_body() -> None:
    response = Response(bodyless=True)
    response.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")
    assert (response.done, response.reusable) == (True, True)


def test_captures_the_headers_it_was_asked_for() -> None:
    response = Response(frozenset({b"x-version"}))
    response.feed(b"HTTP/1.1 200 OK\r\nX-Version:  v2 \r\nX-Other: 1\r\nContent-Length: 0\r\n\r\n")
    assert response.captured == {"x-version": "v2"}
