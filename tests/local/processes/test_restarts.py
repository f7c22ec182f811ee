"""Back-off and words of a process that doesn't stay."""

import pytest

from canary.local.processes.records import Limits
from canary.local.processes.restarts import MOVES, Restarts

LIMITS = Limits(back_off=1.0, back_off_most=30.0, forgiven=60.0)
CRASH = "app exited with code 1"
IN_USE = ["OSError: [Errno 98] Address already in use"]


def crashed(*lived: float) -> Restarts:
    """After processes that ended after so many seconds."""
    restarts = Restarts(LIMITS)
    for seconds in lived:
        restarts.ran(seconds)
        restarts.ended(CRASH, ["last word"])
    return restarts


# How long each process lived, and the pause in seconds after the last one.
PAUSES = {
    "begins with a second": ([0.1], 1),
    "doubles": ([0.1, 0.1, 0.1], 4),
    "ends at half a minute": ([0.1] * 9, 30),
    "doesn't outgrow numbers": ([0.1] * 5000, 30),
    "begins anew after a minute without a crash": ([0.1, 0.1, 0.1, 60.0], 1),
    "doesn't begin anew after less": ([0.1, 0.1, 59.0], 4),
}


@pytest.mark.parametrize(("lived", "pause"), PAUSES.values(), ids=PAUSES)
def test_pause(lived: list[float], pause: float) -> None:
    assert crashed(*lived).pause == pytest.approx(pause, rel=0.101)


def test_what_crashed_together_does_not_start_together() -> None:
    assert len({crashed(0.1).pause for _ in range(20)}) > 1


def test_tells_how_often_and_what_it_said_last() -> None:
    assert crashed(0.1).text == f"{CRASH}; last lines: last word"
    assert crashed(0.1, 0.1, 0.1).text == f"{CRASH} three times; last lines: last word"


def test_has_nothing_to_say_once_it_worked_but_remembers_the_row() -> None:
    restarts = crashed(0.1, 0.1)
    restarts.worked()
    assert (restarts.text, restarts.row) == ("", 2)


def test_a_port_in_use_is_left_at_once_but_not_for_ever() -> None:
    restarts = Restarts(LIMITS)
    for _ in range(MOVES):
        restarts.ended(CRASH, IN_USE)
        assert (restarts.pause, restarts.count, restarts.text) == (0.0, 0, "")
    restarts.ended(CRASH, IN_USE)
    assert restarts.count == 1
    assert restarts.pause > 0
    assert "Address already in use" in restarts.text
