import asyncio
import io
import json
import signal
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from canary.loadtest.command import loadtest
from canary.loadtest.histogram import Histogram
from canary.loadtest.plan import Plan
from canary.loadtest.report import Ledger, Report, Sample, Spent
from canary.loadtest.show import progress, summary, to_dict

if TYPE_CHECKING:
    from tests.loadtest.conftest import Request, Server, Until

PLAN = Plan("http://localhost/", rate=10, duration=10, capture=("x-version",))


def plain() -> tuple[Console, io.StringIO]:
    text = io.StringIO()
    return Console(file=text, width=120, force_terminal=False), text


def shown(report: Report) -> str:
    console, text = plain()
    console.print(summary(report))
    return text.getvalue()


@pytest.fixture
def report() -> Report:
    ledger = Ledger(PLAN.capture)
    ledger.requests, ledger.dropped = 6, 4
    for version, status, error in [
        ("v1", 200, ""), ("v1", 200, ""), ("v1", 404, ""),
        ("[red]v2", 500, ""), ("", 0, "connection reset"),
    ]:  # fmt: skip
        headers = {"x-version": version} if version else {}
        ledger.add(Sample(0, 0.02, status, error, headers), timed_out=False)
    return ledger.report(10, 256, Spent(took=4, window=4, cpu=0.4, connections=3, reconnects=1))


def test_the_summary_says_all_of_it(report: Report) -> None:
    lines = [" ".join(line.split()) for line in shown(report).splitlines()]
    assert lines[0] == "6 requests in 4.0 s, 1.5 a second of 10.0 asked for; 2 failed"
    for line in [
        "200 2", "404 1", "500 1", "connection reset 1",
        "still in flight 1", "dropped 4", "reconnects 1",
        "(none) 1 1 100.00%", "[red]v2 1 1 100.00% 20 ms", "v1 3 0 0.00% 20 ms",
    ]:  # fmt: skip
        assert line in lines
    assert "The rate was not kept: 1.5 requests/s instead of 10.0: 4 requests" in " ".join(lines)


def test_the_summary_of_nothing_is_no_error() -> None:
    assert "0 requests" in shown(Ledger(()).report(None, 1, Spent()))


def test_the_progress_is_one_line(report: Report) -> None:
    assert str(progress(PLAN, report)) == (
        "2 requests/s of 10  1 in flight  p99 20 ms  2 failed  4 dropped  6 s left"
    )


def test_the_dict_is_json_and_adds_up(report: Report) -> None:
    found = json.loads(json.dumps(to_dict(report)))
    assert found["statuses"] == {"200": 2, "404": 1, "500": 1}
    assert found["failures"] == {"connection reset": 1, "5xx": 1}
    assert (found["failed"], found["clientErrors"], found["keptRate"]) == (2, 1, False)
    assert found["captured"]["x-version"]["v1"] == {"requests": 3, "failures": 0, "p99": 0.02}
    assert found["latency"]["max"] == 0.02
    assert to_dict(Ledger(()).report(None, 1, Spent()))["latency"] is None


def test_the_report_holds_a_histogram_of_its_own(report: Report) -> None:
    assert isinstance(report.latency, Histogram)
    assert report.latency.count == 4, "a reset is no latency"


async def test_a_load_for_a_person(server: "Server") -> None:
    out, text = plain()
    code = await loadtest(Plan(server.url, rate=200, count=20), out=out, err=plain()[0])
    assert code == 0
    assert text.getvalue().startswith("20 requests in ")


async def test_a_load_for_a_program(server: "Server") -> None:
    out, text = plain()
    await loadtest(Plan(server.url, rate=200, count=20), as_json=True, out=out, err=plain()[0])
    assert json.loads(text.getvalue())["requests"] == 20


async def test_draws_where_there_is_a_terminal(server: "Server") -> None:
    screen = io.StringIO()
    err = Console(file=screen, force_terminal=True, width=120)
    await loadtest(Plan(server.url, rate=50, duration=0.8), out=plain()[0], err=err)
    assert "requests/s of 50" in screen.getvalue()


async def test_says_so_when_nobody_answered(server: "Server") -> None:
    server.replies(b"", close=True)
    out, _ = plain()
    assert await loadtest(Plan(server.url, count=3, concurrency=1), out=out, err=out) == 1


async def test_ctrl_c_ends_it_early_with_the_summary(server: "Server", until: "Until") -> None:
    before = signal.getsignal(signal.SIGINT)
    out, text = plain()
    plan = Plan(server.url, rate=50, duration=600)
    running = asyncio.create_task(loadtest(plan, out=out, err=plain()[0]))
    await until(lambda: len(server.requests) > 3)
    signal.raise_signal(signal.SIGINT)
    assert await running == 0
    assert "requests in" in text.getvalue()
    assert signal.getsignal(signal.SIGINT) == before


async def test_a_second_ctrl_c_does_not_wait(server: "Server", until: "Until") -> None:
    async def never(request: "Request", writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    server.answer = never
    out, text = plain()
    plan = Plan(server.url, rate=50, duration=600, timeout=600)
    running = asyncio.create_task(loadtest(plan, out=out, err=plain()[0]))
    await until(lambda: len(server.requests) > 3)
    signal.raise_signal(signal.SIGINT)
    await asyncio.sleep(0)
    assert not running.done()
    signal.raise_signal(signal.SIGINT)
    async with asyncio.timeout(20):
        assert await running == 1
    assert "still in flight" in text.getvalue()
