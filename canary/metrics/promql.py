"""Metrics that Prometheus answers: built-in ones, inline queries and templates."""

from datetime import datetime

from canary.cluster.port import Kind, Ref
from canary.crd.analysis import Metric
from canary.crd.canary import Canary
from canary.crd.manifest import parse
from canary.crd.templates import MetricTemplate
from canary.errors import NotFound, NoValues, Problem, ProviderError, SpecError, UnknownName
from canary.judge.threshold import SUCCESS_RATE, Measurement
from canary.judge.words import span
from canary.metrics.base import Cache, Read, Side, asking
from canary.metrics.prometheus import Prometheus, Server, server_of
from canary.metrics.queries import QUERIES
from canary.metrics.template import Place, query_of

TEMPLATE = Kind("flagger.app/v1beta1", "MetricTemplate")
SECRET = Kind("v1", "Secret")


class Stateless:
    """A source that remembers nothing between calls: Prometheus keeps the past itself."""

    def __init__(self, prometheus: Prometheus) -> None:
        self._prometheus = prometheus

    async def begin(self, canary: Canary, now: datetime) -> None:
        """Nothing to note down."""

    async def traffic(self, canary: Canary) -> float | None:  # noqa: ARG002 - the contract's
        """None: what was scraped some seconds ago does not say what arrives just now."""
        return None

    async def close(self) -> None:
        await self._prometheus.close()


class Builtin(Stateless):
    """`request-success-rate` and `request-duration`, from what a data plane exports."""

    def __init__(self, prometheus: Prometheus, address: str = "", provider: str = "") -> None:
        super().__init__(prometheus)
        self._address, self._provider = address, provider

    async def measure(
        self, canary: Canary, metric: Metric, side: Side, since: datetime, now: datetime
    ) -> Measurement:
        server = server_for(canary, self._address)
        # Never before `since`: the errors of an earlier weight, or of an earlier revision, are
        # not this one's.
        window = min(metric.interval_seconds, (now - since).total_seconds())
        query, counting = self._texts(canary, metric, side, window)
        with asking(query):
            try:
                value = await self._prometheus.query(server, query)
            except NoValues:
                text = f"Prometheus has seen no requests to the {side} in the last {span(window)}"
                raise NoValues(text) from None
        samples = await self._samples(server, counting)
        rate = metric.name == SUCCESS_RATE
        failures = round(samples * (1 - value / 100)) if rate and samples is not None else None
        return Measurement(value, samples, failures, window, "%" if rate else "ms", query)

    def _texts(self, canary: Canary, metric: Metric, side: Side, window: float) -> tuple[str, str]:
        provider = canary.spec.provider or self._provider
        if provider not in QUERIES:
            where = f"Canary {canary.key}"
            raise UnknownName(where, "spec.provider (of built-in metrics)", provider, QUERIES)
        cluster = f"{canary.namespace}/{canary.apex}/{side}"
        return QUERIES[provider].texts(metric.name, cluster, window)

    async def _samples(self, server: Server, query: str) -> int | None:
        # It only makes the explanation better, so it must not take the number away.
        try:
            return max(1, round(await self._prometheus.query(server, query)))
        except ProviderError:
            return None


class Inline(Stateless):
    """The `query` that a Canary carries itself."""

    def __init__(self, prometheus: Prometheus, address: str = "") -> None:
        super().__init__(prometheus)
        self._address = address

    async def measure(
        self, canary: Canary, metric: Metric, side: Side, since: datetime, now: datetime
    ) -> Measurement:
        del side, since, now  # The author of a query has decided what it is about.
        place = Place(f"Canary {canary.key}", f"spec.analysis.metrics[{metric.name}].query")
        query = query_of(canary, metric, metric.query, place)
        with asking(query):
            value = await self._prometheus.query(server_for(canary, self._address), query)
        return Measurement(value, window=metric.interval_seconds, query=query)


class Template(Stateless):
    """A MetricTemplate of type prometheus, from the watch cache; its Secret is read each time."""

    def __init__(self, prometheus: Prometheus, cache: Cache, read: Read) -> None:
        super().__init__(prometheus)
        self._cache, self._read = cache, read

    async def measure(
        self, canary: Canary, metric: Metric, side: Side, since: datetime, now: datetime
    ) -> Measurement:
        del side, since, now  # As above.
        template = self._template(canary, metric)
        place = Place(f"MetricTemplate {template.key}", "spec.query")
        query = query_of(canary, metric, template.spec.query, place)
        with asking(query):
            value = await self._prometheus.query(await self._server(template), query)
        return Measurement(value, window=metric.interval_seconds, query=query)

    def _template(self, canary: Canary, metric: Metric) -> MetricTemplate:
        named = metric.template_ref
        if named is None:
            raise ValueError(f"{metric.name} has no template")
        ref = Ref(TEMPLATE, named.namespace or canary.namespace, named.name)
        manifest = self._cache.get(ref)
        if manifest is None:
            field = f"spec.analysis.metrics[{metric.name}].templateRef"
            raise SpecError(Problem(f"Canary {canary.key}", field, "nothing there", str(ref)))
        template = parse(manifest)
        if not isinstance(template, MetricTemplate):
            raise TypeError(f"{ref} was read as a {template.kind}")
        return template

    async def _server(self, template: MetricTemplate) -> Server:
        provider, where = template.spec.provider, f"MetricTemplate {template.key}"
        if provider.type != "prometheus":
            raise UnknownName(where, "spec.provider.type", provider.type, ["prometheus"])
        secret, insecure = None, provider.insecure_skip_verify
        if provider.secret_ref:
            ref = Ref(SECRET, template.namespace, provider.secret_ref.name)
            where = str(ref)
            try:
                secret = await self._read(ref)
            except NotFound:
                raise SpecError(
                    Problem(
                        f"MetricTemplate {template.key}",
                        "spec.provider.secretRef",
                        "nothing there",
                        where,
                    )
                ) from None
        return server_of(
            provider.address or "", provider.headers, secret, insecure=insecure, where=where
        )


def server_for(canary: Canary, address: str) -> Server:
    """The Prometheus of built-in checks and inline queries; the Canary's own comes first."""
    if not (chosen := canary.spec.metrics_server or address):
        expected = "the URL of a Prometheus, here or in CANARY_METRICS_SERVER"
        raise SpecError(Problem(f"Canary {canary.key}", "spec.metricsServer", "nothing", expected))
    return server_of(chosen, where=f"Canary {canary.key}")
