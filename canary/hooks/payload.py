"""What a hook is sent."""

import hashlib
import json
import time
from collections.abc import Mapping
from urllib.parse import quote

from canary.crd.analysis import Webhook
from canary.crd.canary import Canary
from canary.crd.status import Announcement


def payload(canary: Canary, phase: str, metadata: Mapping[str, str]) -> bytes:
    """The body of a call. The key `metadata` is left out when there is none."""
    body = {
        "name": canary.name,
        "namespace": canary.namespace,
        "phase": phase,
        "checksum": checksum(canary),
    }
    return json.dumps({**body, "metadata": dict(metadata)} if metadata else body).encode()


def event(canary: Canary, announcement: Announcement, metadata: Mapping[str, str]) -> bytes:
    """The body of an event. The three keys of ours win over metadata of the same name."""
    said = {
        "eventMessage": announcement.text,
        "eventType": announcement.type,
        "timestamp": str(time.time_ns() // 10**6),
    }
    return payload(canary, announcement.phase.value, {**metadata, **said})


def checksum(canary: Canary) -> str:
    """Changes exactly when the applied spec or the tracked configs change."""
    status = canary.status
    parts = [status.last_applied_spec, sorted((status.tracked_configs or {}).items())]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:20]


def idempotency_key(canary: Canary, hook: Webhook, attempt: str) -> str:
    """The same for a call that is repeated after a crash or a timeout, and only for that."""
    run = canary.status.run.id if canary.status.run else ""
    parts = (canary.uid, run, hook.hook, attempt, hook.name)
    return "/".join(quote(part, safe="") for part in parts)
