"""What is known about one Canary, put together as documents."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from canary.cli import words
from canary.cli.events import event_table
from canary.cli.output import Body, Document, Fields, Lines, Section, Styled, Table

View = dict[str, Any]
EVENTS = 10
"""How many events a description ends with."""
RUN = ("run", "revision", "images", "started", "took", "outcome", "reason")
CHECKS = ("check", "query", "value", "bound", "samples", "outcome", "reason")
DECISIONS: dict[str, Callable[[View], str]] = {
    "Ask": lambda action: f"ask {action['what'].lower()}",
    "SetStatus": lambda action: ", ".join(action["say"]) or f"record {action['phase']}",
    "SetSplit": lambda action: f"give the canary {action['split']['canary']}%",
    "CreatePrimary": lambda action: f"set up a primary of {action['revision']}",
    "Promote": lambda action: f"promote {action['revision']}",
    "Scale": lambda action: "wake the target" if action["up"] else "put the target to sleep",
    "Wait": lambda action: f"wait: {action['why']}",
}
"""Actions of the journal in a few words."""


def description(view: View, events: Sequence[View]) -> Document:
    """What `describe` shows: everything."""
    return Document(_head(view), [*_sections(view, events)])


def explanation(told: View) -> Document:
    """What `explain` shows, most important first."""
    sections = [
        Section("Because", Lines(told["because"])),
        Section("Checks", checks(told["checks"])),
        Section("Next", Lines([*map(_next, told["next"])])),
    ]
    if told["intents"]:
        sections.append(Section("Asked for", Lines(told["intents"])))
    can = ", ".join(told["can"]) or "nothing, for now"
    return Document(Lines([told["summary"]]), [*sections, Section("You can", Lines([can]))])


def checks(records: Sequence[View]) -> Table:
    """Checks as they were made, with all that is needed to judge them."""
    rows = [
        (
            each["name"],
            each.get("query") or "",
            words.number(each.get("value"), each.get("unit") or ""),
            words.bounds(each.get("low"), each.get("high"), each.get("unit") or ""),
            "" if each.get("samples") is None else f"{each['samples']:,}",
            words.outcome(each["outcome"]),
            each.get("reason") or "",
        )
        for each in records
    ]
    return Table(CHECKS, rows, "none has been made in this run")


def runs(items: Sequence[View]) -> Table:
    """A line for each run, as `history` shows them."""
    return Table(RUN, [_run_row(each) for each in items], "no runs")


def one_run(run: View) -> Document:
    """One run and all that was decided in it."""
    head = Fields([*zip(map(str.capitalize, RUN), _run_row(run), strict=True)])
    rows = [
        (
            words.stamp(each["at"]),
            words.phase(each["phase"]),
            "; ".join(map(_action, each["actions"])) or "rest",
            each["error"],
        )
        for each in run["entries"]
    ]
    looks = Table(("time", "phase", "decided", "error"), rows, "none is kept")
    return Document(head, [Section("Decisions", looks), Section("Checks", checks(run["checks"]))])


def _run_row(run: View) -> tuple[str, ...]:
    verdict = run.get("verdict") or {}
    if verdict:
        took = words.between(run["startedAt"], verdict["at"])
    else:
        took = words.so_far(run["startedAt"]) if run["current"] else ""
    return (
        run["id"],
        run["revision"],
        ",".join(run["images"]),
        words.stamp(run["startedAt"]),
        took,
        words.outcome(verdict.get("outcome") or ("running" if run["current"] else "unknown")),
        verdict.get("reason") or "",
    )


def _action(action: View) -> str:
    """An action of the journal in a few words."""
    do = action["do"]
    if do in DECISIONS:
        return DECISIONS[do](action)
    return " ".join((do, *(f"{key}={value}" for key, value in action.items() if key != "do")))


def _head(view: View) -> Fields:
    target = view["target"]
    return Fields(
        [
            ("Name", view["name"]),
            ("Namespace", view["namespace"]),
            ("Phase", words.phase(view["phase"])),
            ("Target", f"{target['kind']} {target['name']}"),
            ("Provider", view.get("provider") or ""),
            ("Strategy", view.get("strategy") or ""),
            ("Interval", str(view.get("interval") or "")),
            ("Suspended", "yes" if view.get("suspended") else ""),
            ("Stalled", view.get("stalled") or ""),
            *(("Problem", each) for each in view.get("problems") or ()),
        ]
    )


def _sections(view: View, events: Sequence[View]) -> Iterator[Section]:
    status = (view.get("manifest") or {}).get("status") or {}
    run = status.get("run") or {}
    if run or view.get("revision"):
        yield Section("Run", _run_fields(view, run))
    yield Section("Traffic", _traffic(view, run.get("split") or {}))
    yield Section("Checks", checks(view["checks"]))
    if gates := run.get("gates"):
        yield Section("Gates", _gates(gates))
    yield Section("Conditions", _conditions(status.get("conditions") or ()))
    yield Section("Events", event_table([*events][-EVENTS:]))


def _run_fields(view: View, run: View) -> Fields:
    verdict, paused = view.get("verdict") or {}, run.get("paused") or {}
    failed = f"{view['failedChecks']} of {view['threshold']}"
    return Fields(
        [
            ("Id", run.get("id") or ""),
            ("Revision", view.get("revision") or ""),
            ("Images", ", ".join(view.get("images") or ())),
            ("Started", _since(view.get("startedAt"))),
            ("Trigger", run.get("trigger") or ""),
            ("Failed checks", failed),
            ("Iteration", str(view["iterations"]) if view.get("iterations") else ""),
            ("Paused", _paused(paused)),
            ("Verdict", f"{verdict['outcome']}: {verdict['reason']}" if verdict else ""),
            ("Next", _wait(view.get("next") or {})),
        ]
    )


def _since(at: str | None) -> str:
    return f"{words.stamp(at)} ({words.away(at)})" if at else ""


def _paused(paused: View) -> str:
    if not paused:
        return ""
    by = f" by {paused['who']}" if paused.get("who") else ""
    why = f": {paused['why']}" if paused.get("why") else ""
    return f"{words.away(paused.get('since'))}{by}{why}"


def _wait(wait: View) -> str:
    return " - ".join(filter(None, (words.away(wait.get("at")), wait.get("why"))))


def _next(each: Any) -> str:
    if isinstance(each, str):
        return each
    return f"{each['when']}: {each['what']}" if each.get("when") else str(each["what"])


def _traffic(view: View, split: View) -> Body:
    lines = [words.bar(view["weight"], mirrored=bool(split.get("mirrored")))]
    if split.get("matched"):
        lines.append("only requests that match the A/B conditions are split")
    return Lines(lines)


def _gates(gates: dict[str, View]) -> Table:
    rows = [
        (
            gate,
            "open" if said["open"] else Styled("closed", "yellow"),
            said.get("hook") or "",
            words.stamp(said.get("since")),
            said.get("detail") or "",
        )
        for gate, said in gates.items()
    ]
    return Table(("gate", "state", "hook", "since", "detail"), rows)


def _conditions(conditions: Sequence[View]) -> Table:
    rows = [
        (
            each["type"],
            each["status"],
            each["reason"],
            words.stamp(each.get("lastTransitionTime")),
            each.get("message") or "",
        )
        for each in conditions
    ]
    return Table(("type", "status", "reason", "since", "message"), rows)
