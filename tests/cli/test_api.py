"""Servers that are something else, slow, or gone halfway."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from canary.cli.api import Api, NobodyThere
from canary.errors import ClusterError, Conflict, Forbidden, SpecError

from .conftest import Cli

Speak = Callable[[bytes], str]


@pytest.fixture
def speak() -> Iterator[Speak]:
    """Starts servers that say the same bytes to everybody, and then hang up."""
    listeners: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def start(reply: bytes) -> str:
        listener = socket.create_server(("127.0.0.1", 0))

        def serve() -> None:
            with suppress(OSError):
                while True:
                    caller, _ = listener.accept()
                    with caller:
                        caller.recv(65536)
                        caller.sendall(reply)

        listeners.append(listener)
        threads.append(threading.Thread(target=serve))
        threads[-1].start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    yield start
    for listener in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
    for thread in threads:
        thread.join()


def http(status: str, body: str, kind: str = "application/json") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
    return f"{head}Connection: close\r\n\r\n{body}".encode()


PROBLEM = '{"title": "No", "detail": "%s", "errors": []}'
ELSEWHERE = "not as canary's status API does"
ANSWERS = {
    "a web site": (http("200 OK", "<html>"), ClusterError, ELSEWHERE),
    "JSON of something else": (http("200 OK", "[1, 2]"), ClusterError, ELSEWHERE),
    "a page that is not found": (http("404 Not Found", "gone"), ClusterError, "status 404"),
    "JSON of another error": (http("500 Oh", '{"oh": 1}'), ClusterError, "status 500"),
    "no HTTP at all": (b"SSH-2.0-OpenSSH_9.2\r\n", NobodyThere, "nobody answers at"),
    "nothing": (b"", NobodyThere, "nobody answers at"),
    "half of an answer": (http("200 OK", '{"items": []}')[:-5], NobodyThere, "went away"),
    "a refusal": (http("403 Forbidden", PROBLEM % "not you"), Forbidden, "not you"),
    "a conflict": (http("409 Conflict", PROBLEM % "too late"), Conflict, "too late"),
    "a redirection": (http("302 Found", ""), ClusterError, "status 302"),
    "things that are wrong": (
        http(
            "422 Unprocessable",
            '{"title": "No", "detail": "x", "errors": [{"where": "body", "field": "verb",'
            ' "found": "x", "expected": "y", "nearest": "yy"}, "odd"]}',
        ),
        SpecError,
        "body: verb: found x, expected y; did you mean 'yy'?",
    ),
}


@pytest.mark.parametrize(("reply", "error", "words"), ANSWERS.values(), ids=ANSWERS)
def test_what_is_wrong_with_a_server_is_told(
    speak: Speak, reply: bytes, error: type[Exception], words: str
) -> None:
    with pytest.raises(error) as told:
        Api(speak(reply)).get("/")
    assert words in str(told.value)


def test_a_server_that_does_not_answer_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(NobodyThere, match=r"has not answered within 0\.1 s"):
            Api(url, timeout=0.1).get("/")


def test_another_server_that_has_canaries_of_its_own(cli: Cli, speak: Speak) -> None:
    done = cli("get", "--server", speak(http("200 OK", '{"birds": []}')))
    assert done.code == 1
    assert ELSEWHERE in done.err


def test_a_server_below_a_path(speak: Speak) -> None:
    url = speak(http("200 OK", '{"a": 1}'))
    assert Api(f"{url}/proxied/canary/").get("/x") == {"a": 1}


STREAM = """\
: a comment

event: canary
data: {"a":
data:  1}
id: 7

id: 8

data:{"b": 2}

event: cut
data: {"c"
"""


def test_a_stream_is_read_message_by_message(speak: Speak) -> None:
    reply = http("200 OK", STREAM, "text/event-stream")
    assert list(Api(speak(reply)).events("/")) == [("canary", {"a": 1}), ("", {"b": 2})]
