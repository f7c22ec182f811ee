import shlex
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary.errors import SpecError, UnknownName
from canary.loadtest.hey import parse
from canary.loadtest.words import split

URL = "http://podinfo-canary.test:9898/"

# A command line -> what its plan is to have.
ROWS: dict[str, tuple[str, dict[str, object]]] = {
    "the one in everybody's manifest": (
        f"hey -z 1m -q 10 -c 2 {URL}",
        {"rate": 20, "duration": 60, "count": None, "url": URL, "method": "GET", "timeout": 20},
    ),
    "nothing but an address": (
        f"hey {URL}",
        {"rate": None, "concurrency": 50, "count": 200, "duration": None},
    ),
    "a duration outranks a number": (f"hey -n 5 -z 90s {URL}", {"count": None, "duration": 90}),
    "a duration in parts": (f"hey -z 1m30s {URL}", {"duration": 90}),
    "flags as Go also reads them": (f"hey --n=40 -c=4 -q=0.5 {URL}", {"count": 40, "rate": 2}),
    "flags behind the address, which their author meant": (f"hey {URL} -n 60", {"count": 60}),
    "a POST with a body": (
        f"""hey -z 1m -m post -T application/json -d '{{"a": "b c"}}' {URL}""",
        {"method": "POST", "body": b'{"a": "b c"}'},
    ),
    "no keep-alive": (f"hey -disable-keepalive {URL}", {"keep_alive": False}),
    "keep-alive after all": (f"hey -disable-keepalive=false {URL}", {"keep_alive": True}),
    "a timeout of its own": (f"hey -t 3 {URL}", {"timeout": 3}),
    "no timeout": (f"hey -t 0 {URL}", {"timeout": 3600}),
    "flags that change nothing here": (
        f"hey -cpus 2 -o csv -disable-compression -disable-redirects {URL}",
        {"count": 200},
    ),
    "a full path": (f"/usr/local/bin/hey {URL}", {"count": 200}),
    "several lines": (f"hey -z 1m \\\n  -c 3 \\\n  {URL}\n", {"duration": 60, "concurrency": 3}),
    "a quoted query": (f"hey '{URL}?a=1&b=$2;c'", {"url": f"{URL}?a=1&b=$2;c"}),
    "hey does not look at certificates": (f"hey {URL}", {"insecure": True}),
    "wrk": (
        f"wrk -t2 -c10 -d30s {URL}",
        {"rate": None, "concurrency": 10, "duration": 30, "timeout": 2},
    ),
    "wrk2 has a rate": (f"wrk2 -t2 -c10 -d1m -R2k --latency {URL}", {"rate": 2000, "duration": 60}),
    "wrk in full words": (
        f"wrk --connections 5 --duration=15 --timeout 4s -H 'X-A: b' {URL}",
        {"concurrency": 5, "duration": 15, "timeout": 4},
    ),
}


@pytest.mark.parametrize(("command", "expected"), ROWS.values(), ids=ROWS)
def test_parse(command: str, expected: dict[str, object]) -> None:
    plan = parse(command)
    assert {name: getattr(plan, name) for name in expected} == expected


HEADERS = {
    "as hey sends them": (f"hey {URL}", {"Content-Type": "text/html"}),
    "several": (f"hey -H 'A: b' -H C:d {URL}", {"A": "b", "C": "d"}),
    "a colon in a value": (f"hey -H 'A: b: c' {URL}", {"A": "b: c"}),
    "a host": (f"hey -host app.test {URL}", {"Host": "app.test"}),
    "types": (f"hey -T text/plain -A a/b {URL}", {"Content-Type": "text/plain", "Accept": "a/b"}),
    "a user": (f"hey -a me:secret {URL}", {"Authorization": "Basic bWU6c2VjcmV0"}),
    "an agent": (f"hey -U me/1 {URL}", {"User-Agent": "me/1"}),
}


@pytest.mark.parametrize(("command", "expected"), HEADERS.values(), ids=HEADERS)
def test_headers(command: str, expected: dict[str, str]) -> None:
    assert expected.items() <= parse(command).headers.items()


# A command line -> the field, and what is to be said about it.
BAD: dict[str, tuple[str, str, str]] = {
    "nothing": ("", "", "found nothing"),
    "an open quote": ("hey 'x", "", "quotes that are closed again"),
    "no address": ("hey -n 5 -c 1", "", "found no address"),
    "two addresses": (f"hey {URL} {URL}", "", "expected one address"),
    "an unknown flag": (f"hey -hots a {URL}", "-hots", "did you mean '-host'?"),
    "the wrong case": (f"hey -Z 1m {URL}", "-Z", "did you mean '-z'?"),
    "a flag without its value": ("hey -z", "-z", "found nothing behind it"),
    "a duration without a unit": (f"hey -z 60 {URL}", "-z", "did you mean '60s'?"),
    "workers that are none": (f"hey -c x {URL}", "-c", "found 'x', expected a number from 1 on"),
    "half a worker": (f"hey -c 1.5 {URL}", "-c", "a whole number"),
    "no worker": (f"hey -c 0 {URL}", "-c", "a number from 1 on"),
    "a rate that is no number": (f"hey -q nan {URL}", "-q", "a number from 0 on"),
    "fewer requests than workers": (f"hey -n 5 -c 9 {URL}", "-n", "as workers, -c 9"),
    "a header without a colon": (f"hey -H nope {URL}", "-H", "'name: value'"),
    "a file that is not there": (f"hey -D /nowhere/at/all {URL}", "-D", "No such file"),
    "HTTP/2": (f"hey -h2 {URL}", "-h2", "found HTTP/2"),
    "a proxy": (f"hey -x p:1 {URL}", "-x", "found a proxy"),
    "another scheme": ("hey ftp://a/", "url", "http://localhost:8080/path"),
    "a pipe": (f"hey {URL} | tee log", "", "a pipe"),
    "two commands": (f"hey {URL}; hey {URL}", "", "a second command"),
    "one if the other": (f"hey {URL} && hey {URL}", "", "a second command"),
    "an unquoted query": (f"hey {URL}?a=1&b=2", "", "a URL with & belongs in quotes"),
    "a redirection": (f"hey {URL} > /dev/null", "", "a redirection"),
    "two lines": (f"hey {URL}\nhey {URL}", "", "a second line"),
    "a substitution": (f"hey -d $(id) {URL}", "", "an expansion"),
    "a substitution in double quotes": (f'hey -d "$(id)" {URL}', "", "an expansion"),
    "backticks": (f"hey -d `id` {URL}", "", "an expansion"),
    "a variable": (f"hey -d $HOME {URL}", "", "an expansion"),
    "wrk's scripts": (f"wrk -s a.lua {URL}", "-s", "scripts need wrk itself"),
    "a slip in wrk's words": (f"wrk --conections 5 {URL}", "--conections", "'--connections'?"),
    "a flag unknown to wrk": (f"wrk -q5 {URL}", "-q", "an unknown flag"),
    "a duration wrk does not know": (f"wrk -d 5x {URL}", "-d", "with one of s, m, h"),
    "connections that are none": (f"wrk -c ten {URL}", "-c", "found 'ten'"),
    "a wrk flag without its value": ("wrk -c", "-c", "found nothing behind it"),
}


@pytest.mark.parametrize(("command", "field", "said"), BAD.values(), ids=BAD)
def test_refuses(command: str, field: str, said: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse(command)
    assert [problem.field for problem in caught.value.problems] == [field]
    assert said in str(caught.value)


@pytest.mark.parametrize("command", ["ghz -z 1m podinfo.test:9898", "sh -c 'hey x'", "FOO=1 hey x"])
def test_knows_no_other_program(command: str) -> None:
    with pytest.raises(UnknownName, match="expected one of hey, wrk, wrk2"):
        parse(command)


def test_suggests_the_program_that_was_meant() -> None:
    with pytest.raises(UnknownName, match="did you mean 'hey'"):
        parse(f"heyy {URL}")


def test_reads_the_body_from_a_file(tmp_path: Path) -> None:
    body = tmp_path / "a body"
    body.write_bytes(b"\x00\xff")
    assert parse(f"hey -m POST -D '{body}' {URL}").body == b"\x00\xff"


@given(st.lists(st.text(), min_size=1))
def test_quoted_words_arrive_as_they_were(words: list[str]) -> None:
    assert split(shlex.join(words)) == words


@given(st.text())
def test_whatever_is_written_is_a_plan_or_a_problem(tail: str) -> None:
    with suppress(SpecError):
        parse(f"hey {tail} {URL}")
