"""What a pipe gets is stable: one line a row, columns in one place, nothing cut off."""

import re
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from canary.cli import words
from canary.cli.output import GAP, Table, aligned, clean

cells = st.text(max_size=12)
tables = st.integers(1, 4).flatmap(
    lambda n: st.lists(st.tuples(*[cells] * n), min_size=1, max_size=5).map(
        lambda rows: Table([f"head{i}" for i in range(len(rows[0]))], rows)
    )
)


@given(tables)
def test_every_row_is_one_line_and_columns_begin_at_one_place(table: Table) -> None:
    lines = aligned(table)
    assert len(lines) == len(table.rows) + 1
    starts = [match.start() for match in re.finditer(r"\S+", lines[0])]
    for line, row in zip(lines[1:], table.rows, strict=True):
        for start, cell in zip(starts, row, strict=True):
            assert line[start:].startswith((clean(cell) or "-").rstrip())
        assert all(line[start - len(GAP) : start].strip() == "" for start in starts[1:])


@given(st.text())
def test_what_is_printed_moves_no_cursor(text: str) -> None:
    assert clean(text).isprintable()


@given(st.floats(0, 10**9))
def test_a_length_of_time_has_at_most_two_units(seconds: float) -> None:
    assert re.fullmatch(r"(\d+(\.\d)?[dhms]){1,2}", words.long(seconds))


@given(st.integers(0, 100))
def test_a_bar_is_always_as_long(weight: int) -> None:
    bar = words.bar(weight)
    assert len(re.findall("[█░]", bar)) == words.BAR
    assert f"{weight}% canary" in bar


ROWS = {
    "seconds to come": (30, "in 30s"),
    "now": (0, "now"),
    "some time ago": (-3700, "1h1m ago"),
}


def test_times_are_told_from_now() -> None:
    now = datetime.now(UTC)
    for seconds, said in ROWS.values():
        assert words.away((now + timedelta(seconds=seconds)).isoformat(), now) == said
    assert words.away(None) == words.stamp("nonsense") == ""
