"""What happened between two looks at Envoy's counters, also if it was restarted in between."""

from dataclasses import dataclass

from canary.metrics.admin import COUNTERS, Counts
from canary.metrics.histogram import Bins, difference

SLACK = 7.0
"""Seconds by which an uptime may be late: Envoy counts whole ones, and at worst every five."""


@dataclass(frozen=True, slots=True)
class Changes:
    answered: int
    """Requests that were answered, by the service or by Envoy in its place."""
    failed: int
    """Answers with a 5xx status, and those that broke off or ran out of time halfway."""
    bins: Bins
    """Durations of those that the service answered."""
    restarted: bool
    """Counting began again in between: what was counted before that is lost."""


def changes(then: Counts, now: Counts) -> Changes:
    """What was counted between both looks."""
    restarted = _restarted(then, now)
    base = Counts() if restarted else then
    answered = now["upstream_rq_completed"] - base["upstream_rq_completed"]
    failed = min(answered, _failed(base, now))
    return Changes(answered, failed, difference(now.bins, base.bins), restarted)


def _restarted(then: Counts, now: Counts) -> bool:
    """A younger Envoy, or a cluster that was taken out and put back."""
    if not then.known:
        return False
    younger = now.uptime + SLACK < then.uptime + now.at - then.at
    fewer = any(now[name] < then[name] for name in COUNTERS)
    return younger or fewer or any(now.bins.get(key, 0) < n for key, n in then.bins.items())


def _failed(base: Counts, now: Counts) -> int:
    """Refused connections, resets and timeouts before the first byte are answered by Envoy
    itself, with 503 or 504, and so are among the 5xx; retries that helped are not.

    An answer that breaks off later keeps its status, often 200. Then there are more resets (or
    timeouts) than 503s (or 504s) and retries, and at least the surplus broke off. Upgraded
    connections end with a reset in the best of health, so where there are any, resets say nothing.
    """

    def grown(name: str) -> int:
        return now[name] - base[name]

    resets = grown("upstream_cx_destroy_remote_with_active_rq") + grown("upstream_rq_rx_reset")
    broken = resets - grown("upstream_rq_503") - grown("upstream_rq_retry")
    late = grown("upstream_rq_timeout") - grown("upstream_rq_504")
    upgraded = now["upstream_rq_101"] > 0
    return grown("upstream_rq_5xx") + (0 if upgraded else max(0, broken)) + max(0, late)
