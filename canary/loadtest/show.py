"""Tells people how a load goes and how it went."""

from collections.abc import Iterable, Iterator
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from canary.loadtest.plan import Plan
from canary.loadtest.report import Report

QUANTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p99.9": 0.999}
BANDS = 12
WIDTH = 40
"""Characters of the longest bar."""


def progress(plan: Plan, report: Report) -> Text:
    """Where a running load stands, in one line: what is drawn while it runs costs it time."""
    parts = [
        f"{report.achieved:,.0f} requests/s{_of(plan)}",
        f"{report.in_flight} in flight",
        f"p99 {seconds(report.latency.quantile(0.99))}",
        f"{report.failed:,} failed",
        *([f"{report.dropped:,} dropped"] if report.dropped else []),
        _left(plan, report),
    ]
    return Text("  ".join(parts), style="red" if report.failed else "")


def summary(report: Report) -> RenderableType:
    """All there is to say about a load that has ended."""
    parts: list[RenderableType] = [_headline(report), ""]
    if report.latency.count:
        parts += [_histogram(report), "", _latencies(report), ""]
    parts += [_outcomes(report)]
    for header in report.captured:
        parts += ["", _captured(report, header)]
    if report.shortfall:
        parts += ["", Text(f"The rate was not kept: {report.shortfall}.", style="bold yellow")]
    return Group(*parts)


def to_dict(report: Report) -> dict[str, Any]:
    """The same for programs. Latencies are in seconds, and null when nothing was measured."""
    return {
        "askedRate": report.asked,
        "achievedRate": report.achieved,
        "keptRate": report.kept_rate,
        "shortfall": report.shortfall,
        "duration": report.duration,
        "requests": report.requests,
        "completed": report.completed,
        "failed": report.failed,
        "failures": report.failures,
        "clientErrors": report.client_errors,
        "statuses": {str(status): number for status, number in sorted(report.statuses.items())},
        "dropped": report.dropped,
        "late": report.late,
        "unsent": report.unsent,
        "reconnects": report.reconnects,
        "connections": report.connections,
        "cpu": report.cpu,
        "latency": dict(_figures(report)) if report.latency.count else None,
        "captured": {
            header: {
                value: {
                    "requests": tally.requests,
                    "failures": tally.failures,
                    "p99": tally.latency.quantile(0.99) if tally.latency.count else None,
                }
                for value, tally in tallies.items()
            }
            for header, tallies in report.captured.items()
        },
    }


def seconds(value: float) -> str:
    """A time with three digits that matter and the unit that suits it.

    >>> seconds(0.000123), seconds(0.0456), seconds(7.5)
    ('0.123 ms', '45.6 ms', '7.5 s')
    """
    return f"{value:.3g} s" if value >= 1 else f"{value * 1000:.3g} ms"


def _of(plan: Plan) -> str:
    return f" of {plan.rate:,.0f}" if plan.rate else ""


def _left(plan: Plan, report: Report) -> str:
    if plan.duration is not None:
        return f"{max(0.0, plan.duration - report.duration):.0f} s left"
    return f"{max(0, (plan.count or 0) - report.requests - report.dropped):,} requests left"


def _headline(report: Report) -> Text:
    style = "red" if report.failed else "green"
    asked = f" of {report.asked:,.1f} asked for" if report.asked is not None else ""
    return Text.assemble(
        f"{report.requests:,} requests in {report.duration:.1f} s, "
        f"{report.achieved:,.1f} a second{asked}; ",
        (f"{report.failed:,} failed", style),
    )


def _histogram(report: Report) -> Table:
    rows = list(report.latency.rows(BANDS))
    most = max(number for _, _, number in rows)
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right")
    table.add_column(justify="right")
    table.add_column()
    for _, upper, number in rows:
        table.add_row(f"≤ {seconds(upper)}", f"{number:,}", "█" * round(WIDTH * number / most))
    return table


def _figures(report: Report) -> Iterator[tuple[str, float]]:
    yield "min", report.latency.min
    yield "mean", report.latency.mean
    for name, q in QUANTILES.items():
        yield name, report.latency.quantile(q)
    yield "max", report.latency.max


def _latencies(report: Report) -> Table:
    figures = dict(_figures(report))
    return _table(figures, [[seconds(value) for value in figures.values()]])


def _outcomes(report: Report) -> Table:
    """Each status, each kind of failure, and what is worth knowing besides; zeros left out."""
    rows = [[str(status), f"{number:,}"] for status, number in sorted(report.statuses.items())]
    rows += [[kind, f"{number:,}"] for kind, number in sorted(report.errors.items())]
    others = {
        "still in flight": report.in_flight,
        "dropped": report.dropped,
        "sent late": report.late,
        "never sent": report.unsent,
        "reconnects": report.reconnects,
    }
    rows += [[name, f"{number:,}"] for name, number in others.items() if number]
    return _table(["outcome", "requests"], rows)


def _captured(report: Report, header: str) -> Table:
    rows = [
        [
            value or "(none)",
            f"{tally.requests:,}",
            f"{tally.failures:,}",
            f"{tally.failures / tally.requests:.2%}",
            seconds(tally.latency.quantile(0.99)) if tally.latency.count else "",
        ]
        for value, tally in sorted(report.captured[header].items())
    ]
    return _table([header, "requests", "failures", "failure rate", "p99"], rows)


def _table(heads: Iterable[str], rows: Iterable[list[str]]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for number, head in enumerate(heads):
        table.add_column(Text(head), justify="right" if number else "left")
    for row in rows:
        # As text: a header's value in square brackets is no markup.
        table.add_row(*(Text(cell) for cell in row))
    return table
