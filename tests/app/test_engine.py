"""The parts put together: what starts, what is shown, and what local mode does not load."""

import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from canary.app.engine import Engine
from canary.cluster.cache import Cache
from canary.cluster.embedded import Embedded
from canary.engine.journal import Journal
from canary.settings import Settings
from tests.engine.place import eventually
from tests.engine.world import canary, process

HEAVY = ("kubernetes", "numpy", "pandas", "matplotlib", "prometheus_api_client", "envoy")


@pytest.fixture
async def cluster() -> AsyncIterator[Embedded]:
    made = await Embedded.open(None)
    yield made
    await made.close()


def built(cluster: Embedded, settings: Settings) -> Engine:
    return Engine.build(cluster, Cache(cluster), Journal(), settings, provider="envoy")


PROVIDERS = {
    "the one of the place": (Settings(), "envoy"),
    "the one of the settings": (Settings(provider="istio"), "istio"),
}


@pytest.mark.parametrize(("settings", "provider"), PROVIDERS.values(), ids=PROVIDERS)
async def test_a_canary_without_a_provider_gets(
    cluster: Embedded, settings: Settings, provider: str
) -> None:
    engine = built(cluster, settings)
    assert engine.parts.routing.default == engine.service().provider == provider
    labels = {"version": "0.1.0", "mesh_provider": provider}
    assert engine.numbers.registry.get_sample_value("flagger_info", labels) == 1
    await engine.close()


async def test_is_ready_once_it_has_started_and_shows_who_waits(cluster: Embedded) -> None:
    engine = built(cluster, Settings())
    service = engine.service()
    assert service.ready() == ["the controller has not started yet"]
    await engine.start()
    await cluster.apply(process(), manager="user")
    await cluster.apply(canary(), manager="user")
    # Nobody runs its primary here, so it is waited for.
    await eventually(lambda: service.waits("test/app") is not None)
    assert service.ready() == []
    await engine.close()
    await engine.parts.cache.close()


async def test_closing_twice_and_without_a_start_is_fine(cluster: Embedded) -> None:
    engine = built(cluster, Settings())
    await engine.close()
    await engine.close()


def test_local_mode_loads_nothing_heavy_that_it_does_not_need(tmp_path: Path) -> None:
    code = f"import sys, canary.app.local; print(*[m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == []
