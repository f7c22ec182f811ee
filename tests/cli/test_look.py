"""get, describe, explain, history and events, against the real status API."""

import json
import re

import pytest
import yaml

from .conftest import Cli
from .server import Server

pytestmark = pytest.mark.usefixtures("server")


def test_try(cli: Cli, server: Server) -> None:
    for line in ("get", "get -A", "get -o wide", "get -o name -A", "describe podinfo", "explain podinfo", "history podinfo", "history podinfo run-2", "events podinfo", "describe shop/cart", "explain cart -n shop", "abort podinfo --reason x --wait", "get podinfoo", "promote podinfo --wait","history podinfo x" ):
        done = cli(*line.split())
        print("$ canary", line, done.code)
        print(done.out, done.err)
    assert 0
