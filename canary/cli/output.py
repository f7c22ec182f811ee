"""How things are shown: documents of sections, drawn for a terminal or plain for a pipe.

What a command shows is put together as values first. On a terminal `rich` draws them; elsewhere
they are aligned text without colours, boxes or cut-off cells, so that scripts can rely on it.
"""

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

GAP = "   "
PROSE = frozenset({"query", "message", "reason", "detail", "decided", "error", "images"})
"""Columns that a terminal may break into lines; all others are kept in one piece."""
LEAST = {"status": len("WaitingPromotion")}
"""Widths of columns that would otherwise move while one watches."""
NARROWEST = 20
"""Characters, of a column of prose."""


class Format(StrEnum):
    TABLE = "table"
    WIDE = "wide"
    JSON = "json"
    YAML = "yaml"
    NAME = "name"


class DataFormat(StrEnum):
    """Where there is but one way to print a table, and it has no names."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


class Styled(str):
    """Text with a colour for terminals. Everywhere else it is just the text."""

    __slots__ = ("style",)

    style: str

    def __new__(cls, text: str, style: str) -> Self:
        self = super().__new__(cls, text)
        self.style = style
        return self


@dataclass(frozen=True, slots=True)
class Table:
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    empty: str = "none"
    """Said in the place of a table without rows."""


@dataclass(frozen=True, slots=True)
class Fields:
    """Names and their values; those without a value are left out."""

    pairs: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Lines:
    lines: Sequence[str]


Body = Table | Fields | Lines


@dataclass(frozen=True, slots=True)
class Section:
    title: str
    body: Body


@dataclass(frozen=True, slots=True)
class Document:
    head: Body
    sections: Sequence[Section] = field(default_factory=tuple)


def show(document: Document) -> None:
    """Print a document on stdout."""
    if sys.stdout.isatty():
        _draw(document)
    else:
        print("\n".join(_plain_document(document)))


def show_data(data: Any, form: Format | DataFormat) -> None:
    """Print plain data as JSON or YAML."""
    if form == Format.JSON:
        print(json.dumps(data, indent=2, ensure_ascii=False), flush=True)
        return
    import yaml

    print(yaml.safe_dump(data, sort_keys=False, allow_unicode=True), end="", flush=True)


def is_data(form: Format | DataFormat) -> bool:
    return form in ("json", "yaml")


def clean(text: str) -> str:
    r"""Without what moves a terminal's cursor or colours it: names and logs come from outside.

    >>> clean("a\x1b[31mb"), clean("two\nlines")
    ('a[31mb', 'two lines')
    """
    return "".join(
        each if each.isprintable() else " " if each in "\n\t" else "" for each in text.strip()
    )


def aligned(table: Table) -> list[str]:
    """The lines of a plain table.

    >>> aligned(Table(("name", "weight"), [("podinfo", "5"), ("b", "100")]))
    ['NAME      WEIGHT', 'podinfo   5', 'b         100']
    """
    if not table.rows:
        return [table.empty]
    rows = [[head.upper() for head in table.heads], *table.rows]
    # A cell must not be empty, or what is cut into columns at blanks moves to the left.
    cells = [[clean(cell) or "-" for cell in row] for row in rows]
    columns = zip(table.heads, zip(*cells, strict=True), strict=True)
    widths = [max(LEAST.get(head, 0), *map(len, column)) for head, column in columns]
    return [
        GAP.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]


def _plain_document(document: Document) -> Iterable[str]:
    yield from _plain(document.head)
    for section in document.sections:
        yield ""
        yield f"{section.title}:"
        yield from (f"  {line}".rstrip() for line in _plain(section.body))


def _plain(body: Body) -> list[str]:
    match body:
        case Table():
            return aligned(body)
        case Fields(pairs):
            known = [(name, clean(value)) for name, value in pairs if value]
            width = max((len(name) for name, _ in known), default=0) + 1
            return [f"{f'{name}:'.ljust(width)}  {value}" for name, value in known]
        case Lines(lines):
            return [clean(line) for line in lines]


def _draw(document: Document) -> None:
    from rich.console import Console
    from rich.padding import Padding
    from rich.text import Text

    console = Console(highlight=False)
    bodies = (document.head, *(section.body for section in document.sections))
    console.width = max(console.width, *map(_needs, bodies))
    console.print(_drawn(document.head))
    for section in document.sections:
        console.print()
        console.print(Text(section.title, style="bold"))
        console.print(Padding(_drawn(section.body), (0, 0, 0, 2), expand=False))


def _drawn(body: Body) -> "RenderableType":
    from rich.table import Table as RichTable
    from rich.text import Text

    match body:
        case Table(heads, rows, empty):
            if not rows:
                return _text(Styled(empty, "dim"))
            table = RichTable(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="bold")
            for head in heads:
                table.add_column(head.upper(), overflow="fold", no_wrap=head not in PROSE)
            for row in rows:
                table.add_row(*(_text(cell) for cell in row))
            return table
        case Fields(pairs):
            grid = RichTable.grid(padding=(0, 2, 0, 0))
            grid.add_column(style="dim", no_wrap=True)
            grid.add_column(overflow="fold")
            for name, value in pairs:
                if value:
                    grid.add_row(name, _text(value))
            return grid
        case Lines(lines):
            return Text("\n").join(_text(line) for line in lines)


def _needs(body: Body) -> int:
    """The width below which a table would lose something; a terminal then breaks the lines."""
    if not isinstance(body, Table):
        return 0
    columns = zip(body.heads, zip(body.heads, *body.rows, strict=True), strict=True)
    widths = (NARROWEST if head in PROSE else max(map(len, cells)) for head, cells in columns)
    return 2 + sum(width + len(GAP) for width in widths)


def _text(cell: str) -> "Text":
    """As text, never as markup: what stands in square brackets is part of it."""
    from rich.text import Text

    return Text(clean(cell), style=getattr(cell, "style", ""))
