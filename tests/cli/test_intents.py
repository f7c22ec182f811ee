"""Verbs reach the controller, and what it makes of them reaches the user."""

import json

import pytest

from canary.cli.intents import VERBS, who
from canary.core import intents as core

from .conftest import Cli
from .server import PODINFO, Server


def test_the_verbs_are_those_of_the_core() -> None:
    assert VERBS.keys() == core.VERBS.keys()


def test_a_verb_is_recorded_with_who_and_why(cli: Cli, server: Server) -> None:
    done = cli("pause", "podinfo", "--reason", "looking at logs", "--wait")
    assert (done.code, done.out) == (0, "podinfo: pause done\n")
    (record,) = server.status(PODINFO).intents
    assert (record.verb, record.who, record.why) == ("pause", who(), "looking at logs")
    assert record.applied


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_is_heeded(cli: Cli, server: Server, verb: str) -> None:
    cli(verb, "podinfo", "--wait")
    (record,) = server.status(PODINFO).intents
    assert record.verb == verb


def test_a_refusal_is_a_failure_with_its_reason(cli: Cli, server: Server) -> None:
    done = cli("resume", "podinfo", "--wait")
    assert done.code == 1
    assert done.err == "error: resume of podinfo is ignored: the run is not paused\n"


def test_another_revision_than_the_one_that_is_meant(cli: Cli, server: Server) -> None:
    done = cli("abort", "podinfo", "--revision", "c1-older", "--wait")
    assert done.code == 1
    assert "it is meant for revision c1-older" in done.err


def test_as_json(cli: Cli, server: Server) -> None:
    done = cli("resume", "podinfo", "--wait", "-o", "json")
    assert done.code == 1
    assert json.loads(done.out)["state"] == "ignored"


def test_without_waiting_it_is_only_asked_for(cli: Cli, server: Server) -> None:
    server.heeds = False
    done = cli("abort", "podinfo", "--reason", "no")
    assert (done.code, done.out) == (0, "podinfo: abort asked for\n")


def test_nobody_heeds_it_in_time(cli: Cli, server: Server) -> None:
    server.heeds = False
    done = cli("abort", "podinfo", "--wait", "--timeout", "0.2")
    assert done.code == 1
    assert done.err == "error: abort of podinfo has not been heeded within 0.2 s\n"


def test_a_second_wish_before_the_first_is_read(cli: Cli, server: Server) -> None:
    server.heeds = False
    cli("pause", "podinfo")
    done = cli("abort", "podinfo")
    assert done.code == 1
    assert "error: another intent has not been read yet: pause" in done.err
