"""The loop with everything it needs, over any cluster."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Self

from canary.cluster.cache import Cache
from canary.cluster.port import Cluster
from canary.engine.controller import Controller
from canary.engine.journal import Journal
from canary.engine.numbers import Numbers
from canary.engine.parts import Parts
from canary.engine.recorder import Recorder
from canary.hooks.call import Hooks, Intercept
from canary.http import Http
from canary.metrics.evaluate import Checks, sources
from canary.routers.apply import Routing
from canary.settings import Settings
from canary.targets.pods import TargetSettings
from canary.targets.workloads import Workloads
from canary.web.service import Service


@dataclass(frozen=True, slots=True)
class Engine:
    """A controller and what it works with. `start`, and `close` in the end."""

    controller: Controller
    parts: Parts
    numbers: Numbers
    http: Http

    @classmethod
    def build(
        cls,
        cluster: Cluster,
        cache: Cache,
        journal: Journal,
        settings: Settings,
        *,
        provider: str,
        intercept: Intercept | None = None,
        stopped: Callable[[str], Awaitable[None]] | None = None,
    ) -> Self:
        """`provider` is the one of the place, for Canaries and settings that name none."""
        provider = settings.provider or provider
        http = Http()
        hooks = Hooks(http, intercept=intercept, event_webhook=settings.event_webhook)
        numbers = Numbers(provider)
        made = sources(
            http,
            cache,
            cluster.get,
            metrics_server=settings.metrics_server,
            provider=provider,
        )
        parts = Parts(
            cluster=cluster,
            cache=cache,
            workloads=Workloads(cluster, cache, _targets(settings)),
            routing=Routing(cluster, cache, provider),
            checks=Checks(made, provider=provider, minimum_interval=settings.minimum_interval),
            hooks=hooks,
            recorder=Recorder(cluster, hooks, numbers),
            journal=journal,
            minimum_interval=settings.minimum_interval,
            stopped=stopped,
        )
        controller = Controller(parts, numbers, ticks_at_once=settings.ticks_at_once)
        return cls(controller, parts, numbers, http)

    async def start(self) -> None:
        await self.controller.start()

    async def close(self) -> None:
        """End the loop, then what it used; objects and their cluster stay open."""
        await self.controller.close()
        await self.parts.checks.close()
        await self.http.close()

    def service(self) -> Service:
        """What the status API shows."""
        return Service(
            cluster=self.parts.cluster,
            cache=self.parts.cache,
            journal=self.parts.journal,
            registry=self.numbers.registry,
            ready=self.controller.unready,
            waits=self.controller.waits,
            provider=self.parts.routing.default,
            now=self.parts.now,
        )


def _targets(settings: Settings) -> TargetSettings:
    return TargetSettings(
        selector_labels=settings.selector_labels,
        include_label_prefix=settings.include_label_prefix,
        config_tracking=settings.config_tracking,
    )
