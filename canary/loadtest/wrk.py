"""What a command line of wrk, or of wrk2, asks for."""

import re
from collections.abc import Sequence
from getopt import GetoptError, gnu_getopt
from itertools import takewhile

from canary.loadtest.plan import Plan
from canary.loadtest.words import Options, problem, unknown_flag

LONG = {
    "connections": "c", "duration": "d", "threads": "t", "script": "s", "header": "H",
    "timeout": "T", "rate": "R", "latency": "L", "u_latency": "U",
}  # fmt: skip
SWITCHES = ("L", "U")
KNOWN = (*(f"-{short}" for short in LONG.values()), *(f"--{name}" for name in LONG))

_NUMBER = re.compile(r"(\d+(?:\.\d+)?)([kKmMgGsh]?)")
THOUSANDS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}
SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600}


def wrk(arguments: Sequence[str]) -> Plan:
    """A closed loop with `-c` connections, or an open one at the rate of `-R`.

    Threads change nothing here: one is enough for what they would be for.
    """
    options = _options(arguments)
    if options.text("s"):
        raise problem("-s", "a Lua script", "flags only: scripts need wrk itself")
    _amount(options, "t", "2", THOUSANDS)
    rate = _amount(options, "R", "0", THOUSANDS)
    return Plan(
        url=options.url(),
        rate=rate or None,
        duration=_amount(options, "d", "10s", SECONDS),
        headers={"User-Agent": "wrk (canary)"} | options.headers("H"),
        timeout=_amount(options, "T", "2s", SECONDS),
        insecure=True,  # nor does wrk check certificates
        concurrency=int(_amount(options, "c", "10", THOUSANDS)),
    )


def _options(arguments: Sequence[str]) -> Options:
    short = "".join(name if name in SWITCHES else f"{name}:" for name in LONG.values())
    long = [name if brief in SWITCHES else f"{name}=" for name, brief in LONG.items()]
    try:
        pairs, words = gnu_getopt(list(arguments), short, long)
    except GetoptError as error:
        flag = _as_written(error.opt)
        if "requires argument" in error.msg:
            raise problem(flag, "nothing behind it", "a value") from None
        raise unknown_flag(flag, KNOWN) from None
    given: dict[str, list[str]] = {}
    for name, value in pairs:
        plain = name.lstrip("-")
        given.setdefault(LONG.get(plain, plain), []).append(value or "true")
    return Options(given, words)


def _as_written(name: str) -> str:
    return f"-{name}" if len(name) == 1 else f"--{name}"


def _amount(options: Options, flag: str, default: str, units: dict[str, int]) -> float:
    text = options.text(flag, default)
    found = _NUMBER.fullmatch(text)
    if not found or found[2].lower() not in units:
        some = ", ".join(takewhile(bool, sorted(units, reverse=True)))
        raise problem(f"-{flag}", repr(text), f"a number, perhaps with one of {some} behind it")
    return float(found[1]) * units[found[2].lower()]
