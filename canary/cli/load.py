"""loadtest: requests at a rate, and how they were answered."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from canary.cli.options import seconds


class Summary(StrEnum):
    TABLE = "table"
    JSON = "json"


def loadtest(
    url: Annotated[str, typer.Argument(metavar="URL", help="Where the requests go.")],
    rate: Annotated[
        float | None,
        typer.Option(
            "--rate", "-r", help="Requests a second, sent when due even if answers are slow."
        ),
    ] = None,
    duration: Annotated[
        float | None,
        typer.Option(
            "--duration",
            "-d",
            metavar="DURATION",
            parser=seconds,
            help="How long, as in 30s or 1m30s; 10s if no --requests are given.",
        ),
    ] = None,
    requests: Annotated[
        int | None, typer.Option("--requests", help="Stop after so many requests.")
    ] = None,
    method: Annotated[str, typer.Option("--method", "-X", help="The HTTP method.")] = "GET",
    header: Annotated[
        list[str] | None,
        typer.Option("--header", "-H", metavar="'NAME: VALUE'", help="May be given again."),
    ] = None,
    body: Annotated[
        str, typer.Option("--body", help="What is sent with each request; @FILE reads a file.")
    ] = "",
    concurrency: Annotated[
        int | None,
        typer.Option(
            "--concurrency",
            "-c",
            help="Without --rate: workers, 50 if not given. With it: most requests in flight.",
        ),
    ] = None,
    timeout: Annotated[
        float,
        typer.Option("--timeout", metavar="DURATION", parser=seconds, help="For each request."),
    ] = 10.0,
    insecure: Annotated[
        bool, typer.Option("--insecure", "-k", help="Accept any certificate.")
    ] = False,
    capture: Annotated[
        list[str] | None,
        typer.Option("--capture", metavar="HEADER", help="Count answers by this header."),
    ] = None,
    output: Annotated[
        Summary, typer.Option("--output", "-o", help="How to print the summary.")
    ] = Summary.TABLE,
) -> int:
    """Send requests to a URL and measure the answers.

    A histogram of the latencies and their percentiles come at the end. With
    --rate, latency counts from the moment a request was due, so a slow server is not asked less.

    Ctrl-C ends the load early and still prints the summary. Exits with 1 if not one request
    was answered.
    """
    import asyncio

    from canary.loadtest.command import loadtest as carry_out
    from canary.loadtest.plan import Plan

    plan = Plan(
        url,
        rate=rate,
        duration=10.0 if duration is None and requests is None else duration,
        count=requests,
        method=method.upper(),
        headers=dict(map(_header, header or ())),
        body=_body(body),
        timeout=timeout,
        insecure=insecure,
        capture=tuple(capture or ()),
        ceiling=Plan.ceiling if concurrency is None else concurrency,
        concurrency=Plan.concurrency if concurrency is None else concurrency,
    )
    return asyncio.run(carry_out(plan, as_json=output is Summary.JSON))


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon:
        raise typer.BadParameter(f"{text!r} is not 'NAME: VALUE'", param_hint="--header")
    return name.strip(), value.strip()


def _body(text: str) -> bytes:
    if not text.startswith("@"):
        return text.encode()
    try:
        return Path(text[1:]).read_bytes()
    except OSError as error:
        raise typer.BadParameter(f"{text[1:]}: {error.strerror}", param_hint="--body") from error
