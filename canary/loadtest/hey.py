"""Reads the load-test command lines that people have in their manifests.

They are carried out by our own generator, so the flags mean what they mean to `hey`, with
two differences: redirects are answers and not followed, and with `-q` the requests start on
time even when `-c` workers would all be waiting, which is what a rate is for.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from canary.crd.duration import Duration, meant
from canary.errors import Problem, UnknownName
from canary.loadtest.http1 import basic
from canary.loadtest.plan import Plan
from canary.loadtest.words import WHERE, Options, UnsupportedError, problem, split, unknown_flag
from canary.loadtest.wrk import wrk

FOREVER = 3600.0
"""What a timeout of 0 stands for here, in seconds."""

VALUES = frozenset("ncqzomtAdDTUaxH") | {"host", "cpus"}
SWITCHES = frozenset(
    {"h2", "more", "disable-compression", "disable-keepalive", "disable-redirects"}
)
KNOWN = tuple(f"-{name}" for name in sorted(VALUES | SWITCHES))
REFUSED = {"h2": "HTTP/2", "x": "a proxy"}


def parse(command: str) -> Plan:
    """The plan that a command line stands for.

    Raises `SpecError` naming the flag, or `UnknownName` for a program other than those here.

    >>> plan = parse("hey -z 1m -q 10 -c 2 http://app.test/")
    >>> plan.rate, plan.duration, plan.url
    (20.0, 60.0, 'http://app.test/')
    """
    program, *arguments = split(command)
    name = Path(program).name
    if name not in PROGRAMS:
        raise UnknownName(WHERE, "program", program, PROGRAMS)
    return PROGRAMS[name](arguments)


def hey(arguments: Sequence[str]) -> Plan:
    options = go_options(arguments)
    for flag, what in REFUSED.items():
        if options.text(flag, "false") != "false":
            expected = "HTTP/1.1 sent directly: the rest needs hey itself"
            raise UnsupportedError(Problem(WHERE, f"-{flag}", what, expected))
    workers = options.whole("c", 50, least=1)
    each = options.number("q", 0)
    duration = _duration(options)
    count = options.whole("n", 200, least=1)
    if duration is None and count < workers:
        raise problem("-n", str(count), f"at least as many requests as workers, -c {workers}")
    return Plan(
        url=options.url(),
        rate=each * workers or None,
        duration=duration,
        count=count if duration is None else None,
        method=options.text("m", "GET").upper(),
        headers=_headers(options),
        body=_body(options),
        timeout=options.whole("t", 20) or FOREVER,
        insecure=True,  # hey never looks at certificates
        concurrency=workers,
        keep_alive=options.text("disable-keepalive", "false") == "false",
    )


def _duration(options: Options) -> float | None:
    text = options.text("z")
    try:
        return Duration(text).seconds or None
    except ValueError:
        raise problem("-z", repr(text), "a duration such as 1m30s", meant(text)) from None


def _headers(options: Options) -> dict[str, str]:
    headers = {"Content-Type": options.text("T", "text/html"), "User-Agent": "hey (canary)"}
    shortcuts = {"A": "Accept", "U": "User-Agent", "host": "Host"}
    headers |= {name: options.text(flag) for flag, name in shortcuts.items() if options.text(flag)}
    if credentials := options.text("a"):
        headers["Authorization"] = basic(credentials)
    return headers | options.headers("H")


def _body(options: Options) -> bytes:
    if not (name := options.text("D")):
        return options.text("d").encode()
    try:
        return Path(name).read_bytes()
    except OSError as error:
        raise problem("-D", f"{name!r} ({error.strerror})", "a file that can be read") from None


def go_options(arguments: Sequence[str]) -> Options:
    """Flags as Go's `flag` package reads them: `-n 5`, `-n=5`, `--n 5`.

    Go ends at the first word that is no flag, and hey then ignores what follows the address.
    Whoever wrote flags there meant them, so here they count.
    """
    given: dict[str, list[str]] = {}
    words, left = list[str](), iter(arguments)
    for argument in left:
        name, equals, value = argument.lstrip("-").partition("=")
        if not argument.startswith("-") or not name:
            words.append(argument)
        elif name in SWITCHES:
            given[name] = [value if equals else "true"]
        elif name not in VALUES:
            raise unknown_flag(f"-{name}", KNOWN)
        else:
            given.setdefault(name, []).append(value if equals else _following(left, name))
    return Options(given, words)


def _following(left: Iterable[str], name: str) -> str:
    for argument in left:
        return argument
    raise problem(f"-{name}", "nothing behind it", "a value")


PROGRAMS: Mapping[str, Callable[[Sequence[str]], Plan]] = {"hey": hey, "wrk": wrk, "wrk2": wrk}
