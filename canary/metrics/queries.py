"""The built-in checks as PromQL, one entry a provider."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from canary.judge.threshold import LATENCY, QUANTILE, SUCCESS_RATE


@dataclass(frozen=True, slots=True)
class Queries:
    """Texts with `%(series)s`, the label matchers of one side, and `%(window)s`."""

    success_rate: str
    duration: str
    """Gives milliseconds."""
    requests: str
    """How many requests stand behind both."""
    matchers: str
    """Label matchers, with `%(cluster)s` for the quoted name of the upstream cluster."""

    def texts(self, metric: str, cluster: str, window: float) -> tuple[str, str]:
        """The query of a built-in metric over `window` seconds, and that of its sample size."""
        parts = {
            "series": self.matchers % {"cluster": json.dumps(cluster)},
            "window": f"{max(1, int(1000 * window))}ms",
        }
        text = {SUCCESS_RATE: self.success_rate, LATENCY: self.duration}[metric]
        return text % parts, self.requests % parts


ENVOY = Queries(
    # No series exists for a class of answers that was never given. That all failed must not look
    # like no data, hence the `or`.
    success_rate=(
        "100 * (sum(rate(envoy_cluster_upstream_rq_xx"
        '{%(series)s,envoy_response_code_class!="5"}[%(window)s])) or vector(0))'
        " / sum(rate(envoy_cluster_upstream_rq_xx{%(series)s}[%(window)s]))"
    ),
    duration=(
        f"histogram_quantile({QUANTILE}, sum by (le)"
        " (rate(envoy_cluster_upstream_rq_time_bucket{%(series)s}[%(window)s])))"
    ),
    requests="sum(increase(envoy_cluster_upstream_rq_xx{%(series)s}[%(window)s]))",
    # An exact name: as a pattern, a dot in it would match other services, too.
    matchers="envoy_cluster_name=%(cluster)s",
)

QUERIES: Mapping[str, Queries] = {"envoy": ENVOY}
