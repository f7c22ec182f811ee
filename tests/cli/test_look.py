"""get, describe, explain and history, against the real status API."""

import json
import re

import pytest
import yaml

from .conftest import Cli
from .server import PODINFO, Server

pytestmark = pytest.mark.usefixtures("server")

WIDE = "SUSPENDED FAILEDCHECKS INTERVAL MIRROR STEPWEIGHT STEPWEIGHTS MAXWEIGHT"
GET = {
    "the columns of kubectl": ((), "NAME STATUS WEIGHT LASTTRANSITIONTIME"),
    "more columns": (("-o", "wide"), f"NAME STATUS WEIGHT {WIDE} LASTTRANSITIONTIME"),
    "the namespace in front": (("-A",), "NAMESPACE NAME STATUS WEIGHT LASTTRANSITIONTIME"),
}


@pytest.mark.parametrize(("options", "heads"), GET.values(), ids=GET)
def test_get_prints_columns(cli: Cli, options: tuple[str, ...], heads: str) -> None:
    first, *rows = cli("get", *options).out.splitlines()
    assert first.split() == heads.split()
    # Scripts cut at blanks: every row has as many words as there are heads.
    assert {len(row.split()) for row in rows} == {len(heads.split())}


def test_get_shows_where_a_release_is(cli: Cli) -> None:
    row = cli("get", "podinfo").out.splitlines()[1]
    assert re.fullmatch(r"podinfo +Progressing +20 +\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", row)


def test_wide_shows_the_plan(cli: Cli) -> None:
    row = cli("get", "-n", "shop", "-o", "wide").out.splitlines()[1].split()
    assert row[:10] == ["cart", "New", "0", "false", "0", "1m", "true", "10", "-", "50"]


def test_get_understands_what_kubectl_users_type(cli: Cli) -> None:
    assert cli("get", "canaries").out == cli("get").out
    assert cli("get", "canaries", "podinfo").out == cli("get", "podinfo").out


def test_names_can_be_given_back(cli: Cli) -> None:
    names = cli("get", "-A", "-o", "name").out.split()
    assert names == ["default/podinfo", "shop/cart"]
    assert cli("get", "-o", "name").out == "podinfo\n"
    for name in names:
        assert cli("describe", name).code == 0


def test_data_is_what_the_api_says(cli: Cli) -> None:
    items = json.loads(cli("get", "-A", "-o", "json").out)["items"]
    assert [each["name"] for each in items] == ["podinfo", "cart"]
    one = json.loads(cli("get", "podinfo", "-o", "json").out)
    assert one["manifest"]["spec"]["analysis"]["stepWeight"] == 10
    assert yaml.safe_load(cli("get", "podinfo", "-o", "yaml").out) == one


@pytest.mark.parametrize("command", ["describe", "explain", "history", "events"])
def test_every_view_comes_as_data(cli: Cli, command: str) -> None:
    said = json.loads(cli(command, "podinfo", "-o", "json").out)
    assert yaml.safe_load(cli(command, "podinfo", "-o", "yaml").out).keys() == said.keys()


def test_a_namespace_without_canaries_is_no_error(cli: Cli) -> None:
    done = cli("get", "-n", "empty")
    assert (done.code, done.out) == (0, "no Canaries in namespace empty\n")
    assert json.loads(cli("get", "-n", "empty", "-o", "json").out) == {"items": []}


@pytest.mark.parametrize("command", ["get", "describe", "explain", "history", "events", "abort"])
def test_a_mistyped_name_is_told_with_the_nearest(cli: Cli, command: str) -> None:
    done = cli(command, "podinfoo")
    assert done.code == 1
    assert done.err == "error: there is no Canary default/podinfoo; did you mean 'podinfo'?\n"


def test_describe_has_all_sections(cli: Cli) -> None:
    out = cli("describe", "podinfo").out
    sections = re.findall(r"^(\w+):$", out, re.MULTILINE)
    assert sections == ["Run", "Traffic", "Checks", "Gates", "Conditions", "Events"]
    for text in (
        "Target:     Deployment podinfo",
        "Failed checks:  1 of 5",
        "primary 80% ████████████████████████████████░░░░░░░░ 20% canary",
        "confirm-traffic-increase   closed   office-hours",
        "Warning   a check failed",
    ):
        assert text in out


@pytest.mark.parametrize("command", ["describe", "explain"])
def test_a_check_is_shown_with_all_that_it_rests_on(cli: Cli, command: str) -> None:
    lines = cli(command, "podinfo").out.splitlines()
    (check,) = (line for line in lines if "sum(rate" in line)
    assert re.split(" {2,}", check.strip()) == [
        "request-success-rate",
        "sum(rate(ok[1m]))",
        "91.25%",
        ">= 99%",
        "1,200",
        "fail",
        "91.25% is below 99%",
    ]


def test_explain_says_why_and_what_comes_next(cli: Cli) -> None:
    out = cli("explain", "podinfo").out
    assert out.startswith("default/podinfo has been Progressing for ")
    assert "office-hours has not approved more traffic" in out
    assert "if every check passes, the canary gets 30% of the traffic" in out
    assert "promote, abort, pause, skip-step" in out


def test_history_lists_runs_newest_first(cli: Cli) -> None:
    _, newest, oldest = (
        re.split(" {2,}", line) for line in cli("history", "podinfo").out.splitlines()
    )
    assert newest[:3] == ["run-2", "c1-new", "podinfo:2"]
    assert newest[5] == "running"
    assert (oldest[0], oldest[4:]) == ("run-1", ["1m", "promoted", "all checks passed"])
    assert cli("history", "podinfo", "-o", "name").out.split() == ["run-2", "run-1"]


def test_history_of_one_run_tells_its_decisions(cli: Cli) -> None:
    out = cli("history", "podinfo", "run-2").out
    assert "give the canary 20%" in out
    assert "wait: watching 20%" in out
    assert "did you mean 'run-2'" in cli("history", "podinfo", "run-22").err


def test_what_others_wrote_cannot_steer_the_terminal(cli: Cli, server: Server) -> None:
    server.tell(PODINFO, "red \x1b[31malert\x1b[0m\nand a second line")
    assert "red [31malert[0m and a second line" in cli("events", "podinfo").out


def test_a_terminal_gets_colours_and_a_pipe_does_not(server: Server) -> None:
    import os
    import pty
    import subprocess
    import sys

    command = [sys.executable, "-m", "canary", "get", "--server", server.url]
    main, side = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color"}
    subprocess.run(command, stdout=side, check=True, timeout=30, env=environment)
    os.close(side)
    drawn = os.read(main, 65536).decode()
    os.close(main)
    assert "\x1b[" in drawn
    assert "Progressing" in drawn
    assert (
        b"\x1b" not in subprocess.run(command, capture_output=True, check=True, timeout=30).stdout
    )


def test_an_old_terminal_gets_question_marks_and_no_error(program: Cli) -> None:
    done = program("describe", "podinfo", PYTHONIOENCODING="ascii")
    assert done.code == 0
    assert "primary 80% ????" in done.out
