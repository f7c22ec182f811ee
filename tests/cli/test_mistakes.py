"""Whatever a user gets wrong, there is one line that says what, and never a traceback."""

import socket
from typing import NamedTuple

import pytest

from .conftest import Cli


class Mistake(NamedTuple):
    args: tuple[str, ...]
    message: str
    code: int = 2


MISTAKES = {
    "an unknown command": Mistake(("xyz",), "there is no command 'xyz'"),
    "a mistyped command": Mistake(("explian", "a"), "'explian'; did you mean 'explain'?"),
    "a command with a quote in it": Mistake(("it's",), """there is no command "it's\""""),
    "a mistyped option": Mistake(("get", "--namespce", "a"), "did you mean '--namespace'?"),
    "an unknown short option": Mistake(("get", "-z"), "there is no option '-z'"),
    "an argument is missing": Mistake(("explain",), "missing argument 'NAME'"),
    "an argument too many": Mistake(("describe", "a", "b"), "unexpected extra argument"),
    "an option without its value": Mistake(("get", "-n"), "'-n' requires an argument"),
    "a value that is not among the known": Mistake(("get", "-o", "xml"), "'xml'"),
    "a folder of Canaries that is not there": Mistake(
        ("validate", "nowhere"), "there is no 'nowhere'"
    ),
    "standard input beside files": Mistake(("validate", "-", "x"), "- stands alone"),
    "a kind that nobody knows": Mistake(("crds", "--kind", "Canry"), "did you mean 'Canary'?"),
    "a shell that nobody knows": Mistake(("completion", "tcsh"), "tcsh"),
    "a server that is no address": Mistake(
        ("get", "--server", "ftp://x"), "--server: found 'ftp://x', expected an address such as"
    ),
    "a port that is no number": Mistake(("get", "--server", "a:b"), "found 'http://a:b'"),
    "no server is running": Mistake(("get",), "start one with 'canary local DIR'", 1),
    "a load on no address": Mistake(("loadtest", "here"), "url: found 'here'"),
    "a load for no time": Mistake(
        ("loadtest", "http://localhost/", "--duration", "0"), "duration: found 0.0"
    ),
    "a duration nobody understands": Mistake(
        ("loadtest", "http://localhost/", "-d", "5 min"), "did you mean '5m'?"
    ),
    "a header without a value": Mistake(
        ("loadtest", "http://localhost/", "-H", "nope"), "'nope' is not 'NAME: VALUE'"
    ),
    "a body of a file that is not there": Mistake(
        ("loadtest", "http://localhost/", "--body", "@nowhere"), "nowhere: No such file"
    ),
    "a port out of range": Mistake(("local", ".", "--port", "70000"), "--port: found 70000"),
    "an interval that is none": Mistake(
        ("local", ".", "--minimum-interval", "soon"), "'soon' is not a duration"
    ),
    "an interval that is too long": Mistake(
        ("local", ".", "--minimum-interval", "2h"), "--minimum-interval: found 7200.0"
    ),
    "logs of something that never ran": Mistake(("logs", "web"), "there are no logs of 'web'", 1),
    "a wait of no time": Mistake(
        ("abort", "a", "--timeout", "0"), "expected greater than or equal to 0.1"
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_told_in_words(cli: Cli, mistake: Mistake) -> None:
    done = cli(*mistake.args)
    assert mistake.message in done.err
    assert done.err.startswith("error: ")
    assert done.code == mistake.code
    assert "Traceback" not in done.err
    assert done.out == ""


def test_a_port_where_nobody_listens(cli: Cli) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        done = cli("explain", "podinfo", "--server", url)
    assert done.code == 1
    assert f"error: nobody answers at {url}: connection refused" in done.err
    assert "start one with 'canary local DIR'" in done.err


def test_settings_of_the_environment_are_checked_like_options(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CANARY_LOG_LEVEL", "loud")
    done = cli("local", ".")
    assert done.code == 2
    assert "CANARY_LOG_LEVEL: found 'loud'" in done.err


def test_a_bug_is_told_as_one_and_its_place_only_on_request(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise RuntimeError("out of luck")

    monkeypatch.setattr("canary.crd.generate.json_schema", broken)
    done = cli("schema")
    assert done.code == 1
    assert "bug in canary: RuntimeError: out of luck" in done.err
    assert "report it" in done.err
    with pytest.raises(RuntimeError, match="out of luck"):
        cli("--debug", "schema")
