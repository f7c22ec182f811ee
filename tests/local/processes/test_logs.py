"""Logs: kept short from outside, and read from the end."""

import asyncio
import subprocess
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path

import pytest

from canary.local.processes import logs


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = logs.log_file(tmp_path, "test", "web-abc12")
    path.parent.mkdir(parents=True)
    return path


def write(path: Path, text: str, mode: str = "w") -> None:
    with path.open(mode) as file:
        file.write(text)


# Content, how many lines, and what is read.
LINES = {
    "reads the last lines": (b"a\nb\nc\n", 2, ["b", "c"]),
    "reads all when there are fewer": (b"a\nb\n", 9, ["a", "b"]),
    "takes an unfinished line for a line": (b"a\nb", 2, ["a", "b"]),
    "reads none when none are asked for": (b"a\n", 0, []),
    "reads nothing from an empty file": (b"", 3, []),
    "goes back over several blocks": (b"x" * 150_000 + b"\nlast\n", 1, ["last"]),
    "stands bytes that are no text": (b"\xff\n", 1, ["\ufffd"]),
}


@pytest.mark.parametrize(("content", "count", "expected"), LINES.values(), ids=LINES)
def test_last_lines(file: Path, content: bytes, count: int, expected: list[str]) -> None:
    file.write_bytes(content)
    assert logs.last_lines(file, count) == expected


def test_last_lines_since_an_offset(file: Path) -> None:
    file.write_bytes(b"before\nafter\n")
    assert logs.last_lines(file, 5, since=7) == ["after"]


def test_a_missing_file_has_no_lines(file: Path) -> None:
    assert logs.last_lines(file, 5) == []


@pytest.fixture
def writer(file: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A process that writes its input to the file, as instances write theirs."""
    with file.open("ab") as output:
        process = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=output)
    with process:
        yield process


async def test_a_process_goes_on_writing_to_the_file_that_was_cut(
    file: Path, writer: "subprocess.Popen[bytes]"
) -> None:
    assert writer.stdin is not None
    for number in range(4):
        writer.stdin.write(b"%d" % number * 2000 + b"\n")
        writer.stdin.flush()
        async with asyncio.timeout(5):
            while logs.size(file) < 2000:  # noqa: ASYNC110  # written by the process
                await asyncio.sleep(0.01)
        assert logs.rotate(file, max_bytes=1500, keep=2)
    aside = sorted(path.name for path in file.parent.iterdir())
    assert aside == ["web-abc12.log", "web-abc12.log.1", "web-abc12.log.2"]
    assert [path.read_bytes()[:1] for path in sorted(file.parent.glob("*.log.*"))] == [b"3", b"2"]
    assert logs.size(file) == 0


def test_small_files_are_left_alone(file: Path) -> None:
    file.write_bytes(b"x" * 10)
    assert not logs.rotate(file, max_bytes=10, keep=2)
    assert file.read_bytes() == b"x" * 10


def test_nothing_is_put_aside_when_nothing_is_kept(file: Path) -> None:
    file.write_bytes(b"x" * 10)
    assert logs.rotate(file, max_bytes=5, keep=0)
    assert [path.name for path in file.parent.iterdir()] == ["web-abc12.log"]


def test_tells_processes_apart_whose_names_begin_alike(tmp_path: Path, file: Path) -> None:
    other = file.with_name("web-primary-abc12.log")
    for path in (file, other, file.with_name("web-abc12.log.1")):
        path.write_text("line\n")
    assert logs.files_of(tmp_path, "test", "web") == [file]
    assert logs.files_of(tmp_path, "test", "web-primary") == [other]


async def test_follows_what_is_written_cut_and_begun(tmp_path: Path, file: Path) -> None:
    write(file, "one\ntwo\n")
    seen: list[str] = []
    found = logs.tail(tmp_path, "test", "web", 1, follow=True)
    async with asyncio.timeout(5), aclosing(found) as lines:
        async for line in lines:
            seen.append(line.removeprefix("web-"))
            match len(seen):
                case 1:
                    write(file, "three\nfo", mode="a")
                case 2:
                    write(file, "ur\n", mode="a")
                case 3:
                    write(file, "5\n")  # shorter than what was read: it was cut
                case 4:
                    write(file.with_name("web-new45.log"), "six\n")
                case _:
                    break
    assert seen == ["abc12 | two", "abc12 | three", "abc12 | four", "abc12 | 5", "new45 | six"]


async def test_tail_ends_when_nobody_asked_to_follow(tmp_path: Path, file: Path) -> None:
    write(file, "one\ntwo\n")
    assert [line async for line in logs.tail(tmp_path, "test", "web")] == [
        "web-abc12 | one",
        "web-abc12 | two",
    ]


async def test_tail_of_nothing_is_nothing(tmp_path: Path) -> None:
    assert [line async for line in logs.tail(tmp_path, "test", "web")] == []
