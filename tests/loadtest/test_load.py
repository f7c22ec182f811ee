import asyncio
import time
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from canary.loadtest.load import Load
from canary.loadtest.plan import Plan
from canary.loadtest.report import MAX_VALUES, OTHERS, Report, Sample

if TYPE_CHECKING:
    from tests.loadtest.conftest import Request, Server, Until

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Version: v1\r\n\r\nok"


async def run(url: str, **plan: Any) -> Report:
    """One worker unless told otherwise, so that connections are reused in order."""
    async with asyncio.timeout(30):
        return await Load(Plan(url, **{"concurrency": 1, **plan})).run()


class Gate:
    """Answers nothing until it is opened."""

    def __init__(self) -> None:
        self.open = asyncio.Event()

    async def __call__(self, _: "Request", writer: asyncio.StreamWriter) -> None:
        await self.open.wait()
        writer.write(OK)


# The open loop.


async def test_a_stalled_server_does_not_hold_up_the_arrivals(
    server: "Server", until: "Until"
) -> None:
    server.answer = gate = Gate()
    samples: list[Sample] = []
    load = Load(Plan(server.url, rate=200, count=60), samples.append)
    running = asyncio.create_task(load.run())
    await until(lambda: len(server.requests) == 60)
    assert not samples
    opened = time.monotonic()
    gate.open.set()
    report = await running
    assert report.completed == len(samples) == 60
    # Latency counts from when each was due, so each of them waited until the gate opened.
    assert all(sample.intended_at + sample.latency >= opened for sample in samples)


async def test_a_latency_includes_the_wait_of_a_second(server: "Server") -> None:
    async def answer(request: "Request", writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(1)
        writer.write(OK)

    server.answer = answer
    report = await run(server.url, rate=50, count=10)
    assert report.latency.min >= 1
    # Had each waited for the one before, this would have taken ten seconds.
    assert report.duration < 8


async def test_requests_are_due_at_the_rate(server: "Server") -> None:
    samples: list[Sample] = []
    report = await Load(Plan(server.url, rate=100, duration=0.5), samples.append).run()
    assert report.requests + report.dropped + report.unsent == 50
    due = sorted(sample.intended_at for sample in samples)
    assert due == pytest.approx([due[0] + number / 100 for number in range(len(due))])
    assert report.duration >= 0.5
    assert report.achieved <= 100


async def test_what_is_due_beyond_the_ceiling_is_dropped_and_reported(
    server: "Server", until: "Until"
) -> None:
    server.answer = gate = Gate()
    load = Load(Plan(server.url, rate=500, count=40, ceiling=5))
    running = asyncio.create_task(load.run())
    await until(lambda: load.snapshot().dropped == 35)
    assert load.snapshot().in_flight == 5
    gate.open.set()
    report = await running
    assert (report.requests, report.completed, report.dropped) == (5, 5, 35)
    assert not report.kept_rate
    assert "35 requests were due while 5 were in flight, which is the ceiling" in report.shortfall


async def test_its_own_lack_of_time_is_reported_as_such(server: "Server") -> None:
    naps = iter([0.5])
    plan = Plan(server.url, rate=100, count=30)
    # All are due within 0.3 s, and after the first answer nothing can be sent for longer.
    report = await Load(plan, lambda _: time.sleep(next(naps, 0))).run()
    assert (report.requests, report.completed) == (30, 30)
    assert report.late > 10
    assert not report.kept_rate
    assert "this program got no time for them" in report.shortfall
    assert report.latency.max > 0.3


async def test_a_load_that_cannot_keep_up_still_ends_on_time(server: "Server") -> None:
    naps = iter([0.8])
    plan = Plan(server.url, rate=100, duration=0.3)
    report = await Load(plan, lambda _: time.sleep(next(naps, 0))).run()
    assert report.unsent > 10
    assert report.requests + report.unsent == 30
    assert not report.kept_rate


# The closed loop.


async def test_without_a_rate_each_worker_waits_for_its_answer(server: "Server") -> None:
    report = await run(server.url, count=50, concurrency=3)
    assert (report.requests, report.completed, report.asked) == (50, 50, None)
    assert (report.connections, server.connections) == (3, 3)
    assert report.kept_rate


async def test_a_closed_loop_ends_after_its_duration(server: "Server") -> None:
    report = await run(server.url, duration=0.2)
    assert report.duration >= 0.2
    assert report.completed == report.requests == len(server.requests) > 1


# What comes back.

ANSWERS: dict[str, tuple[bytes, bool, int]] = {
    "with a length": (OK, False, 1),
    "in chunks": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        False,
        1,
    ),
    "ending with the connection": (b"HTTP/1.1 200 OK\r\n\r\nok", True, 4),
    "announcing the close": (
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        True,
        4,
    ),
}


@pytest.mark.parametrize(("wire", "close", "connections"), ANSWERS.values(), ids=ANSWERS)
async def test_a_response_is_complete(
    server: "Server", wire: bytes, close: bool, connections: int
) -> None:
    server.replies(wire, close=close)
    report = await run(server.url, count=4)
    assert (report.completed, report.failed, report.statuses) == (4, 0, {200: 4})
    assert (report.connections, report.reconnects) == (connections, 0)


FAILURES: dict[str, tuple[bytes, dict[str, int]]] = {
    "a body that stops halfway": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok",
        {"connection reset": 2},
    ),
    "chunks that stop halfway": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n",
        {"connection reset": 2},
    ),
    "half a head": (b"HTTP/1.1 200", {"connection reset": 2}),
    "nothing, on a fresh connection": (b"", {"connection reset": 2}),
    "another protocol": (b"220 smtp ready\r\n\r\n", {"malformed response": 2}),
    "an error of the server": (
        b"HTTP/1.1 503 Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        {"5xx": 2},
    ),
}


@pytest.mark.parametrize(("wire", "failures"), FAILURES.values(), ids=FAILURES)
async def test_counts_as_a_failure(server: "Server", wire: bytes, failures: dict[str, int]) -> None:
    server.replies(wire, close=True)
    report = await run(server.url, count=2)
    assert (report.requests, report.failures, report.failed) == (2, failures, 2)
    assert report.reconnects == 0


async def test_a_mistake_of_the_client_is_counted_but_no_failure(server: "Server") -> None:
    server.replies(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
    report = await run(server.url, count=3)
    assert (report.failed, report.client_errors, report.classes) == (0, 3, {"4xx": 3})


async def test_a_request_without_an_answer_times_out(server: "Server") -> None:
    server.answer = Gate()
    report = await run(server.url, count=2, timeout=0.1)
    assert report.failures == {"timeout": 2}
    # It took at least that long, and leaving it out would make a hanging service look quick.
    assert report.latency.count == 2
    assert report.latency.min >= 0.1


async def test_each_request_has_its_own_deadline(server: "Server") -> None:
    async def answer(request: "Request", writer: asyncio.StreamWriter) -> None:
        if request.number % 2:
            await asyncio.sleep(60)
        writer.write(OK)

    server.answer = answer
    report = await run(server.url, rate=100, count=20, timeout=1)
    assert (report.completed, report.failures) == (10, {"timeout": 10})


async def test_a_closed_port_refuses_connections(unused: str) -> None:
    report = await run(unused, count=3)
    assert report.failures == {"connection refused": 3}
    assert report.latency.count == 0, "a refusal is quick, but not a quick answer"


async def test_a_name_that_cannot_exist_is_not_resolved() -> None:
    report = await run(f"http://{'a' * 64}.test/", count=1)
    assert report.failures == {"name not resolved": 1}


@pytest.fixture
async def unused() -> str:
    """The address of a port that was free a moment ago."""
    listening = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    listening.close()
    await listening.wait_closed()
    return f"http://127.0.0.1:{port}/"


# Kept connections that turn out to be closed.


async def close_on_second(request: "Request", writer: asyncio.StreamWriter) -> None:
    """As a server does whose idle timeout crosses our next request."""
    if request.turn:
        writer.close()
    else:
        writer.write(OK)


async def reset_on_second(request: "Request", writer: asyncio.StreamWriter) -> None:
    if request.turn:
        writer.transport.abort()
    else:
        writer.write(OK)


@pytest.mark.parametrize("answer", [close_on_second, reset_on_second])
async def test_is_resent_once_and_counted(server: "Server", answer: Any) -> None:
    server.answer = answer
    report = await run(server.url, count=5)
    assert (report.completed, report.failed) == (5, 0)
    assert report.reconnects == 4
    assert len(server.requests) == 9


async def test_is_not_resent_when_that_could_do_something_twice(server: "Server") -> None:
    server.answer = close_on_second
    report = await run(server.url, count=4, method="POST")
    assert (report.completed, report.failures) == (2, {"connection reset": 2})
    assert (report.reconnects, len(server.requests)) == (0, 4)


async def test_is_not_resent_once_an_answer_has_begun(server: "Server") -> None:
    async def answer(request: "Request", writer: asyncio.StreamWriter) -> None:
        writer.write(OK[:9] if request.turn else OK)
        if request.turn:
            writer.close()

    server.answer = answer
    report = await run(server.url, count=4)
    assert (report.completed, report.failures) == (2, {"connection reset": 2})
    assert (report.reconnects, len(server.requests)) == (0, 4)


async def test_is_not_resent_a_second_time(server: "Server") -> None:
    async def answer(request: "Request", writer: asyncio.StreamWriter) -> None:
        writer.write(OK) if request.number == 0 else writer.close()

    server.answer = answer
    report = await run(server.url, count=2)
    assert (report.completed, report.failures) == (1, {"connection reset": 1})
    assert (report.reconnects, len(server.requests)) == (1, 3)


async def test_an_idle_connection_may_close_without_harm(server: "Server") -> None:
    server.replies(OK, close=True)
    load = Load(Plan(server.url, rate=20, count=5))
    report = await load.run()
    assert (report.completed, report.failed) == (5, 0)
    assert report.connections == server.connections == 5


async def test_bytes_nobody_asked_for_spoil_a_connection(server: "Server") -> None:
    server.replies(OK + OK)
    report = await run(server.url, count=3)
    assert (report.completed, report.connections, report.failed) == (3, 3, 0)


async def test_without_keep_alive_each_request_has_its_connection(server: "Server") -> None:
    report = await run(server.url, count=3, keep_alive=False)
    assert (report.completed, server.connections) == (3, 3)


# What is sent.


async def test_sends_method_headers_and_body(server: "Server") -> None:
    body = b"x" * 300_000
    await run(server.url, count=1, method="PUT", headers={"X-Who": "me"}, body=body)
    request = server.requests[0]
    assert request.head.startswith("PUT / HTTP/1.1\r\n")
    assert "X-Who: me\r\n" in request.head
    assert request.body == body


async def test_connects_elsewhere_than_the_address_says(server: "Server") -> None:
    address = ("127.0.0.1", server.port)
    report = await run("http://app-canary.test:9898/", count=1, address=address)
    assert report.completed == 1
    assert "Host: app-canary.test:9898\r\n" in server.requests[0].head


async def test_https_checks_the_certificate(tls_server: "Server") -> None:
    report = await run(f"https://127.0.0.1:{tls_server.port}/", count=1)
    assert list(report.failures) == ["tls: certificate verify failed"]
    assert not tls_server.requests


async def test_https_does_not_check_it_when_told_so(tls_server: "Server") -> None:
    report = await run(f"https://localhost:{tls_server.port}/", count=20, insecure=True)
    assert (report.completed, report.failed, report.connections) == (20, 0, 1)


# Captured headers.


async def test_counts_by_what_a_header_says(server: "Server") -> None:
    async def answer(request: "Request", writer: asyncio.StreamWriter) -> None:
        if request.number % 4 == 3:
            writer.close()
        elif request.number % 2:
            writer.write(OK.replace(b"v1", b"v2").replace(b"200 OK", b"500 No"))
        else:
            writer.write(OK)

    server.answer = answer
    report = await run(server.url, count=12, capture=("X-Version",), method="POST")
    found = {
        value: (tally.requests, tally.failures, tally.latency.count)
        for value, tally in report.captured["x-version"].items()
    }
    assert found == {"v1": (6, 0, 6), "v2": (3, 3, 3), "": (3, 3, 0)}


async def test_a_header_with_endless_values_takes_bounded_memory(server: "Server") -> None:
    async def answer(request: "Request", writer: asyncio.StreamWriter) -> None:
        writer.write(OK.replace(b"v1", b"%d" % request.number))

    server.answer = answer
    report = await run(server.url, count=MAX_VALUES + 50, capture=("x-version",))
    tallies = report.captured["x-version"]
    assert len(tallies) == MAX_VALUES + 1
    assert tallies[OTHERS].requests == 50


# The end.


async def test_stop_lets_what_is_in_flight_finish(server: "Server", until: "Until") -> None:
    server.answer = gate = Gate()
    load = Load(Plan(server.url, rate=100, duration=60))
    running = asyncio.create_task(load.run())
    await until(lambda: len(server.requests) >= 3)
    load.stop()
    sent = load.snapshot().requests
    gate.open.set()
    report = await running
    assert report.requests == report.completed == sent
    assert report.duration < 30


async def test_stop_before_the_start_sends_nothing(server: "Server") -> None:
    load = Load(Plan(server.url, rate=100, duration=60))
    load.stop()
    assert (await load.run()).requests == 0


async def test_cancelling_leaves_no_connection(server: "Server", until: "Until") -> None:
    server.answer = Gate()
    load = Load(Plan(server.url, rate=100, duration=60))
    running = asyncio.create_task(load.run())
    await until(lambda: len(server.requests) >= 3)
    running.cancel()
    await asyncio.wait({running})
    assert running.cancelled()
    assert asyncio.all_tasks() - server.tasks == {asyncio.current_task()}
    report = load.snapshot()
    assert report.requests == report.in_flight >= 3


async def test_a_snapshot_before_the_start_is_empty() -> None:
    report = Load(Plan("http://localhost/", rate=5, duration=1)).snapshot()
    assert (report.requests, report.asked, report.kept_rate) == (0, 5, True)


async def test_a_snapshot_does_not_change_afterwards(server: "Server") -> None:
    snapshots: list[Report] = []
    load = Load(
        Plan(server.url, count=10, capture=("x-version",)),
        lambda _: snapshots.append(load.snapshot()),
    )
    await load.run()
    assert [snapshot.completed for snapshot in snapshots] == list(range(1, 11))
    assert [snapshot.latency.count for snapshot in snapshots] == list(range(1, 11))
    assert [s.captured["x-version"]["v1"].requests for s in snapshots] == list(range(1, 11))


@pytest.mark.parametrize("seed", range(3))
async def test_every_request_is_accounted_for_whatever_the_server_does(
    server: "Server", seed: int
) -> None:
    chance = Random(seed)

    async def answer(request: "Request", writer: asyncio.StreamWriter) -> None:
        match chance.randrange(8):
            case 0:
                writer.close()
            case 1:
                writer.transport.abort()
            case 2:
                writer.write(OK[: chance.randrange(len(OK))])
                writer.close()
            case 3:
                await asyncio.sleep(chance.uniform(0, 0.3))
                writer.write(OK)
            case 4:
                writer.write(OK + b"junk")
            case _:
                writer.write(OK)

    server.answer = answer
    samples: list[Sample] = []
    load = Load(Plan(server.url, rate=1000, count=400, timeout=0.15, ceiling=50), samples.append)
    async with asyncio.timeout(30):
        report = await load.run()
    assert report.requests + report.dropped == 400
    assert report.requests == report.completed + sum(report.errors.values()) == len(samples)
    assert report.in_flight == 0
    assert set(report.errors) <= {"connection reset", "timeout"}
    assert len(server.requests) <= report.requests + report.reconnects
