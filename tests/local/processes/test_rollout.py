"""Which instances come and go, always and step by step."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.local.processes.rollout import Member, Plan, plan


def new(name: str, *, ready: bool = True, born: float = 0.0) -> Member:
    return Member(name, current=True, ready=ready, available=ready, born=born)


def old(name: str, *, ready: bool = True) -> Member:
    return Member(name, current=False, ready=ready, available=ready)


@dataclass(frozen=True)
class Row:
    members: list[Member]
    wanted: int
    expected: Plan
    surge: int = 1


ROWS = {
    "starts all at once when nothing runs": Row([], 3, Plan(create=4 - 1)),
    "does nothing when all is as wanted": Row([new("a"), new("b")], 2, Plan()),
    "brings a new one before an old one goes": Row([old("a"), old("b")], 2, Plan(create=1)),
    "waits while the new one isn't ready": Row(
        [old("a"), old("b"), new("c", ready=False)], 2, Plan()
    ),
    "lets an old one go once a new one is ready": Row(
        [old("a"), old("b"), new("c")], 2, Plan(create=1, end=frozenset("a"))
    ),
    "replaces two at a time with a surge of two": Row(
        [old("a"), old("b")], 2, Plan(create=2), surge=2
    ),
    "replaces what never worked, one by one": Row(
        [old("a", ready=False), old("b", ready=False)], 2, Plan(create=1)
    ),
    "keeps an old one that had a bad moment until a new one stands in": Row(
        [old("a", ready=False), new("b", ready=False)], 1, Plan()
    ),
    "lets what doesn't serve go first": Row(
        [old("a", ready=False), old("b"), new("c")], 2, Plan(create=1, end=frozenset("a"))
    ),
    "takes the youngest when there are too many": Row(
        [new("a", born=1.0), new("b", born=2.0)], 1, Plan(end=frozenset("b"))
    ),
    "takes the unready when there are too many": Row(
        [new("a", born=2.0), new("b", ready=False, born=1.0)], 1, Plan(end=frozenset("b"))
    ),
    "ends everything when nothing is wanted": Row(
        [new("a"), new("b", ready=False), old("c"), old("d", ready=False)],
        0,
        Plan(end=frozenset("abcd")),
    ),
}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_plan(row: Row) -> None:
    assert plan(row.members, row.wanted, row.surge) == row.expected


members = st.lists(
    st.tuples(st.booleans(), st.sampled_from([(False, False), (True, False), (True, True)])),
    max_size=8,
).map(
    lambda found: [
        Member(str(number), current, *serves) for number, (current, serves) in enumerate(found)
    ]
)


def serving(found: list[Member]) -> int:
    return sum(each.available if each.current else each.ready for each in found)


def step(found: list[Member], wanted: int, surge: int) -> tuple[list[Member], Plan]:
    made = plan(found, wanted, surge)
    left = [each for each in found if each.name not in made.end]
    first = len(found) + sum(int(each.name) for each in found) + 1
    fresh = [new(str(first + number), ready=False) for number in range(made.create)]
    return left + fresh, made


@given(members, st.integers(0, 4), st.integers(1, 3))
def test_never_gives_up_what_serves_for_less_than_is_wanted(
    found: list[Member], wanted: int, surge: int
) -> None:
    left, _ = step(found, wanted, surge)
    assert serving(left) >= min(wanted, serving(found))


@given(members, st.integers(0, 4), st.integers(1, 3))
def test_creates_no_more_than_the_surge_allows(
    found: list[Member], wanted: int, surge: int
) -> None:
    left, made = step(found, wanted, surge)
    assert not made.create or len(left) <= wanted + surge


@given(members, st.integers(0, 4), st.integers(1, 3))
def test_gets_there_when_new_ones_become_ready(
    found: list[Member], wanted: int, surge: int
) -> None:
    awake: Callable[[Member], Member] = lambda each: (  # noqa: E731  # a value among values
        replace(each, ready=True, available=True) if each.current else each
    )
    for _ in range(40):
        found, made = step(found, wanted, surge)
        if made == Plan() and all(each.available for each in found):
            break
        found = [awake(each) for each in found]
    assert [each.current for each in found] == [True] * wanted
