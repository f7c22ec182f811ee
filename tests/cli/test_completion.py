"""Shells complete commands, options and the names of Canaries."""

import pytest

from .conftest import Cli


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_asks_this_program(cli: Cli, shell: str) -> None:
    done = cli("completion", shell)
    assert done.code == 0
    assert "canary" in done.out
    assert f"_CANARY_COMPLETE=complete_{shell}" in done.out


ROWS = {
    "commands": ("canary e", {"explain", "events"}),
    "verbs with a hyphen": ("canary skip", {"skip-step"}),
    "options": ("canary get --na", {"--namespace"}),
    "values": ("canary get -o w", {"wide"}),
    "shells": ("canary completion z", {"zsh"}),
    "nothing where nothing is known": ("canary describe x", set[str]()),
}


@pytest.mark.parametrize(("typed", "offered"), ROWS.values(), ids=ROWS)
def test_bash_is_offered(program: Cli, typed: str, offered: set[str]) -> None:
    words = typed.split(" ")
    done = program(
        _CANARY_COMPLETE="complete_bash", COMP_WORDS=typed, COMP_CWORD=str(len(words) - 1)
    )
    assert set(done.out.split()) == offered
    assert done.err == ""


def test_zsh_is_offered_commands_with_what_they_do(program: Cli) -> None:
    done = program(_CANARY_COMPLETE="complete_zsh", _TYPER_COMPLETE_ARGS="canary promo")
    assert '"promote":"Promote the revision' in done.out
