"""What a Process's status says, and when it gives up."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from canary.crd.process import Process
from canary.local.processes.rollout import Member
from canary.local.processes.status import EXCEEDED, Progress, Serving, Told, due, status

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NOTHING_TOLD = Told((), ())


def process(**fields: Any) -> Process:
    spec = {"replicas": 2, "template": {"command": ["app"]}, "progressDeadlineSeconds": 60}
    meta = {"name": "web", "generation": 3}
    return Process.model_validate({"metadata": meta, "spec": spec, **fields})


def group(available: int, starting: int = 0, old: int = 0) -> list[Member]:
    return [
        *(Member(f"a{n}", current=True, ready=True, available=True) for n in range(available)),
        *(Member(f"s{n}", current=True, ready=False, available=False) for n in range(starting)),
        *(Member(f"o{n}", current=False, ready=True, available=True) for n in range(old)),
    ]


def after(*looks: tuple[int, list[Member]]) -> Progress:
    """The progress after looks at these seconds."""
    progress = Progress("", 0, NOW)
    for second, members in looks:
        progress = progress.follow(members, 2, "r1", NOW + timedelta(seconds=second))
    return progress


# Looks (second, members), and the second at which the time is over; None if it is done.
DEADLINES = {
    "counts from the first look": ([(5, group(0, 2))], 65),
    "counts anew when one more is available": ([(0, group(0, 2)), (9, group(1, 1))], 69),
    "counts anew when one more is updated": ([(0, group(0, 1, 2)), (9, group(0, 2, 1))], 69),
    "doesn't take going back and forth for progress": (
        [(0, group(0, 2)), (9, group(1, 1)), (20, group(0, 2)), (30, group(1, 1))],
        69,
    ),
    "is done when all are updated and available": ([(0, group(0, 2)), (9, group(2))], None),
    "isn't done while an old one runs": ([(9, group(2, 0, 1))], 69),
    "stays done when an instance crashes later": ([(0, group(2)), (9, group(1, 1))], None),
}


@pytest.mark.parametrize(("looks", "second"), DEADLINES.values(), ids=DEADLINES)
def test_deadline(looks: list[tuple[int, list[Member]]], second: int | None) -> None:
    found = due(process(), after(*looks))
    assert found == (None if second is None else NOW + timedelta(seconds=second))


def test_a_new_template_begins_with_all_of_its_time() -> None:
    later = NOW + timedelta(seconds=100)
    again = after((0, group(2))).follow(group(0, 1, 2), 2, "r2", later)
    assert due(process(), again) == later + timedelta(seconds=60)


def told(progress: Progress, members: list[Member], second: int, *troubles: str) -> dict[str, Any]:
    now = NOW + timedelta(seconds=second)
    return status(process(), progress, members, [], Told(troubles, ()), now)


def test_past_its_deadline_it_says_why() -> None:
    members = group(0, 2)
    made = told(after((0, members)), members, 60, "exited with code 1 three times")
    progressing = made["conditions"][1]
    assert progressing["reason"] == EXCEEDED
    assert progressing["status"] == "False"
    assert progressing["message"] == "no progress for 60 s: exited with code 1 three times"


def test_before_its_deadline_it_already_says_why() -> None:
    members = group(1, 1)
    made = told(after((0, members)), members, 59, "exited with code 1")
    assert [each["message"] for each in made["conditions"]] == [
        "1 of 2 available; exited with code 1",
        "2 of 2 updated; exited with code 1",
    ]
    assert [each["status"] for each in made["conditions"]] == ["False", "True"]


def test_a_restarted_supervisor_goes_on_with_the_time_that_is_left() -> None:
    members = group(1, 1)
    made = told(after((0, members)), members, 10)
    known = process(status=made)
    later = NOW + timedelta(seconds=50)
    restored = Progress.restored(known, "r1", 2, later).follow(members, 2, "r1", later)
    assert due(known, restored) == NOW + timedelta(seconds=60)


def test_the_same_facts_make_the_same_status_at_any_time() -> None:
    members, progress = group(2), after((0, group(2)))
    first = status(process(), progress, members, [], NOTHING_TOLD, NOW)
    later = NOW + timedelta(hours=1)
    assert status(process(), progress, members, [], Told((), first["conditions"]), later) == first


def test_endpoints_are_in_the_order_of_their_names() -> None:
    serving = [Serving("b", "127.0.0.1", 2), Serving("a", "127.0.0.1", 1)]
    made = status(process(), after((0, group(2))), group(2), serving, NOTHING_TOLD, NOW)
    assert [each["port"] for each in made["endpoints"]] == [1, 2]
