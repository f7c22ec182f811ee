"""What a person sees of the demo: a live view while it runs, a table at its end."""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from canary.app.demo.stage import Stage
from canary.app.local import Local
from canary.crd import Canary
from canary.crd.analysis import Metric
from canary.crd.status import Ending, Phase
from canary.errors import CanaryError
from canary.loadtest.report import Report
from canary.metrics.base import Side
from canary.metrics.envoy import Envoy

WINDOW = 4
"""Looks, half a second apart, that a figure of the live view is made from."""
BAR = 40
SIDES: tuple[Side, Side] = ("primary", "canary")
METRICS = (Metric(name="request-success-rate"), Metric(name="request-duration"))


@dataclass(slots=True)
class Figures:
    """Success rate in percent and p99 in milliseconds of each side; None: no requests."""

    values: dict[tuple[Side, str], float | None] = field(default_factory=dict)

    def text(self, side: Side, metric: str, unit: str) -> str:
        value = self.values.get((side, metric))
        if value is None:
            return "-"
        return f"{value:.1f}{unit}" if unit == "%" else f"{value:.0f} {unit}"


async def show(console: Console, stage: Stage, local: Local, *, plain: bool) -> None:
    """Keep the view up to date until cancelled."""
    figures = Figures()
    source = Envoy(local.engine.http, local.cache)
    if plain or not console.is_terminal:
        await _lines(console, stage)
        return
    with Live(console=console, refresh_per_second=8, get_renderable=lambda: _view(stage, figures)):
        looks = 0
        while True:
            if stage.canary is not None and stage.canary.status.phase != Phase.NEW:
                await _measure(source, stage.canary, figures, fresh=looks % WINDOW == 0)
                looks += 1
            await asyncio.sleep(0.5)


async def _lines(console: Console, stage: Stage) -> None:
    """Without a terminal: each thing that happens, as a line."""
    told, title = 0, ""
    while True:
        if stage.title != title:
            title = stage.title
            console.print(f"== {title}")
        for line in stage.happened[told:]:
            console.print(f"{datetime.now(UTC):%H:%M:%S} {line}", highlight=False, soft_wrap=True)
            told += 1
        await asyncio.sleep(0.1)


async def _measure(source: Envoy, canary: Canary, figures: Figures, *, fresh: bool) -> None:
    now = datetime.now(UTC)
    since = source.watched_from(canary) or now
    for side in SIDES:
        for metric in METRICS:
            try:
                measured = await source.measure(canary, metric, side, since, now)
                figures.values[side, metric.name] = measured.value
            except CanaryError:
                # Nothing to show yet is what the view then says.
                figures.values[side, metric.name] = None
    if fresh:
        try:
            await source.begin(canary, datetime.now(UTC))
        except CanaryError:
            return


def _view(stage: Stage, figures: Figures) -> RenderableType:
    status = stage.canary.status if stage.canary else None
    weight = status.canary_weight if status else 0
    head = Text.assemble(
        (stage.title, "bold"),
        f"   {(datetime.now(UTC) - stage.began).total_seconds():.0f} s\n",
        ("phase ", "dim"),
        (str(status.phase) if status else "-", _colour(status.phase if status else Phase.NEW)),
    )
    full = round(BAR * weight / 100)
    bar = Text.assemble(
        ("primary ", "cyan"),
        (f"{100 - weight:>3}% ", "cyan"),
        ("█" * (BAR - full), "cyan"),
        ("█" * full, "yellow"),
        (f" {weight}% ", "yellow"),
        ("canary", "yellow"),
    )
    table = Table(box=None, padding=(0, 3, 0, 0), header_style="dim")
    for name in ("", "success", "p99"):
        table.add_column(name, justify="left" if not name else "right")
    for side, colour in zip(SIDES, ("cyan", "yellow"), strict=True):
        table.add_row(
            Text(side, colour),
            figures.text(side, METRICS[0].name, "%"),
            figures.text(side, METRICS[1].name, "ms"),
        )
    last = Text("\n".join(f"• {line}" for line in stage.happened[-6:]), overflow="fold")
    sent = stage.load.snapshot().requests if stage.load else 0
    foot = Text(f"{sent:,} requests sent", "dim")
    body = Group(head, Text(), bar, Text(), table, Text(), last, Text(), foot)
    return Panel(body, title="canary demo", border_style="dim", padding=(1, 2))


def _colour(phase: Phase) -> str:
    return {Phase.FAILED: "red", Phase.SUCCEEDED: "green"}.get(phase, "white")


def summary(console: Console, stage: Stage, report: Report) -> None:
    """What happened to whose requests, how each release ended, and why."""
    console.print()
    requests = Table("version", "requests", "failures", "p99", title="What the users saw")
    for version, tally in sorted(report.captured.get("x-version", {}).items()):
        p99 = tally.latency.quantile(0.99) * 1000
        requests.add_row(
            version or "no answer", f"{tally.requests:,}", f"{tally.failures:,}", f"{p99:.0f} ms"
        )
    releases = Table("release", "verdict", "after", "reason", title="How the releases went")
    for each in stage.results:
        good = each.ending == each.act.ending
        ending = {Ending.PROMOTED: "promoted", Ending.FAILED: "taken back"}.get(
            each.ending or Ending.ABORTED, str(each.ending)
        )
        releases.add_row(
            each.act.title,
            Text(ending, "green" if good else "red"),
            f"{each.seconds:.1f} s",
            Text(each.reason, overflow="fold"),
        )
    console.print(requests)
    console.print(releases)
