"""Between releases: notice a new revision, adopt what others recorded, mend what drifted."""

from canary.core.actions import Action, Ask, CreatePrimary, Scale
from canary.core.facts import Live, Seen, Target, Workloads
from canary.core.revision import foreign
from canary.core.safety import bring, drained
from canary.core.start import start
from canary.core.transition import Say, move, warn
from canary.crd import Canary
from canary.crd.status import CanaryStatus, Phase, Split


def idle(canary: Canary, seen: Seen) -> list[Action]:
    """Start, adopt, repair or rest; the first line that applies wins."""
    if seen.workloads is None or seen.live is None:
        return [Ask.WORKLOADS, Ask.LIVE]
    status, workloads = canary.status, seen.workloads
    target = workloads.target
    if target is None:
        return _target_gone(canary, seen, workloads)
    if foreign(status.last_applied_spec) or foreign(status.last_promoted_spec):
        return adopt(canary, seen, target, workloads)
    if changed(status, target):
        return start(canary, seen, target, "a new revision") or _mend(canary, seen, workloads)
    return _mend(canary, seen, workloads) or _rested(canary, seen, workloads)


def changed(status: CanaryStatus, target: Target) -> bool:
    """Whether the target asks for a release.

    Going back to the promoted version asks for none, unless a tracked config changed as well.
    """
    if configs_changed(status.tracked_configs, target):
        return True
    if target.revision == status.last_promoted_spec:
        return False
    return target.revision != status.last_applied_spec


def configs_changed(recorded: dict[str, str] | None, target: Target) -> bool:
    """Whether tracked ConfigMaps or Secrets differ from those that were recorded."""
    if target.configs is None:
        return False
    return dict(target.configs) != (recorded or {})


def adopt(canary: Canary, seen: Seen, target: Target, workloads: Workloads) -> list[Action]:
    """Take over hashes that somebody else computed, by comparing the templates themselves.

    An upgrade or a takeover must not start a release: only a target that really differs from its
    primary is a pending change.
    """
    status = canary.status
    if status.phase == Phase.FAILED:
        promoted = (
            target.revision if workloads.alike else _keep(workloads, status.last_promoted_spec)
        )
        return [move(canary, seen, last_applied_spec=target.revision, last_promoted_spec=promoted)]
    if workloads.primary is None:
        return [CreatePrimary(target.revision)]
    known = target.revision if workloads.alike else workloads.primary.revision
    return [move(canary, seen, last_applied_spec=known, last_promoted_spec=known)]


def _keep(workloads: Workloads, recorded: str) -> str:
    return workloads.primary.revision if workloads.primary and foreign(recorded) else recorded


def _target_gone(canary: Canary, seen: Seen, workloads: Workloads) -> list[Action]:
    """The primary goes on serving; whether that is meant to last is for a person to say."""
    ref = canary.spec.target_ref
    why = f"{ref.kind} {canary.namespace}/{ref.name} is gone; the primary goes on serving"
    if canary.status.stalled != why:
        return [move(canary, seen, warn(why, "error"), stalled=why)]
    return _mend(canary, seen, workloads)


def _mend(canary: Canary, seen: Seen, workloads: Workloads) -> list[Action]:
    """Bring back what drifted; what is as it should be costs nothing and writes nothing."""
    status, live = canary.status, seen.live
    if workloads.primary is None:
        return [CreatePrimary(status.last_promoted_spec)]
    if live is None:
        return [Ask.LIVE]
    if status.canary_weight:
        return _stranded(canary, seen, live, workloads)
    return bring(canary, seen, live, workloads, Split()) or _put_to_sleep(canary, seen, workloads)


def _stranded(canary: Canary, seen: Seen, live: Live, workloads: Workloads) -> list[Action]:
    """A promotion failed and left the traffic on the canary, which alone could carry it.

    Once the primary is ready again the traffic goes back and the canary is put to sleep.
    """
    primary, target = workloads.primary, workloads.target
    if primary and not primary.readiness.ready:
        return bring(canary, seen, live, workloads, Split.to_canary(100))
    if actions := bring(canary, seen, live, workloads, Split()):
        return actions
    if target is not None and target.awake:
        return drained(canary, seen) or [Scale(up=False)]
    say = Say("the primary is ready again and has all traffic", severity="info")
    return [move(canary, seen, say, canary_weight=0, stalled="")]


def _put_to_sleep(canary: Canary, seen: Seen, workloads: Workloads) -> list[Action]:
    """The newer revision that the last run left the target awake for is not to come after all.

    A target that somebody else woke is left alone: whether it runs is theirs to say.
    """
    run, target = canary.status.run, workloads.target
    if run is None or not run.left_awake or target is None:
        return []
    if seen.live is None or seen.live.split != Split():
        return []
    if target.awake:
        return drained(canary, seen) or [Scale(up=False)]
    return [move(canary, seen, run=run.model_copy(update={"left_awake": False}))]


def _rested(canary: Canary, seen: Seen, workloads: Workloads) -> list[Action]:
    """Clear what no longer needs a person's attention, such as a target that came back."""
    primary = workloads.primary
    if canary.status.stalled and primary and primary.readiness.ready:
        return [move(canary, seen, stalled="")]
    return []
