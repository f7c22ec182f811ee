"""loadtest, against a real server."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from .conftest import Cli


class Echo(BaseHTTPRequestHandler):
    """Remembers the last request and answers it with its method."""

    protocol_version = "HTTP/1.1"
    last: tuple[str, str | None, bytes] = ("", None, b"")

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        type(self).last = (self.command, self.headers.get("X-Team"), body)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.send_header("X-Version", "2")
        self.end_headers()

    do_GET = do_POST = answer  # noqa: N815  # names that http.server looks for

    def log_message(self, *_: object) -> None:
        """Not into the output of the tests."""


@pytest.fixture
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_rate_for_a_while(program: Cli, url: str) -> None:
    done = program("loadtest", url, "--rate", "50", "--duration", "500ms", "-o", "json")
    said = json.loads(done.out)
    assert done.code == 0
    assert (said["askedRate"], said["requests"], said["failed"]) == (50, 25, 0)
    assert said["latency"]["p99"] > 0


def test_what_is_sent(program: Cli, url: str, tmp_path: object) -> None:
    done = program(
        "loadtest", url, "-X", "post", "-H", "X-Team: blue", "--body", "hello", "--requests", "4",
        "-c", "2", "--capture", "x-version", "-o", "json",
    )  # fmt: skip
    assert Echo.last == ("POST", "blue", b"hello")
    assert json.loads(done.out)["captured"]["x-version"]["2"]["requests"] == 4


def test_people_get_percentiles(program: Cli, url: str) -> None:
    done = program("loadtest", url, "--requests", "20")
    assert done.code == 0
    assert "20 requests in" in done.out
    assert "p99" in done.out


def test_it_fails_if_nothing_was_answered(program: Cli) -> None:
    done = program("loadtest", "http://127.0.0.1:1/", "--requests", "3")
    assert done.code == 1
    assert "Traceback" not in done.err
