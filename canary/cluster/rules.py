"""What an API server makes of a write: pure functions from an object to the next one.

Each returns the very same object where the write has no effect. Only `resourceVersion` is
left to the caller, for it counts what is stored.
"""

from canary.cluster.apply import applied, without_nulls
from canary.cluster.fields import SERVER_OWNED, Touched, fields_of, tracked
from canary.cluster.merge import merge_patch
from canary.cluster.ownership import Writer, updated
from canary.cluster.port import Manifest, Ref
from canary.errors import ClusterError, Conflict

_FINALIZERS = "finalizers"


def created(manifest: Manifest, manager: str, uid: str, time: str) -> Manifest:
    """A new object as its creator wrote it."""
    body = {k: v for k, v in without_nulls(manifest).items() if k != "status"}
    entry = Writer(manager, "Update").entry(body["apiVersion"], time, fields_of(tracked(body)))
    return _born(body, [entry], uid, time)


def created_by_apply(manifest: Manifest, manager: str, uid: str, time: str) -> Manifest:
    """A new object as the first one to apply it wrote it."""
    ref = Ref.of(manifest)
    if claimed := manifest["metadata"].get("uid"):
        raise Conflict(f"{ref} with the uid {claimed} does not exist any more")
    body = applied(ref.manifest(), manifest, manager, time)
    return _born(body, body["metadata"].get("managedFields", []), uid, time)


def _born(body: Manifest, entries: list[dict[str, object]], uid: str, time: str) -> Manifest:
    meta = {k: v for k, v in body["metadata"].items() if k not in SERVER_OWNED}
    if not meta.get("namespace"):
        meta.pop("namespace", None)  # an empty one is how a Ref says "cluster-wide"
    given = {"uid": uid, "generation": 1, "creationTimestamp": time, "managedFields": entries}
    return {**body, "metadata": {**meta, **given}}


def patched(old: Manifest, patch: Manifest, who: Writer, time: str) -> Manifest:
    """The object after a merge patch of it, or of its status if that is the writer's way in."""
    meta = patch.get("metadata") or {}
    check(old, uid=meta.get("uid") or "", resource_version=meta.get("resourceVersion") or "")
    _same_identity(old, patch)
    if who.subresource:
        effective: Manifest = {"status": patch["status"]} if "status" in patch else {}
    else:
        effective = {k: v for k, v in patch.items() if k not in {"status", "metadata"}}
        effective["metadata"] = {k: v for k, v in meta.items() if k not in SERVER_OWNED}
    new: Manifest = merge_patch(old, effective)
    if new is old:
        return old
    entries = old["metadata"].get("managedFields", [])
    entries = updated(entries, who, Touched.between(old, new), (old["apiVersion"], time))
    new = {**new, "metadata": {**new["metadata"], "managedFields": entries}}
    return _revised(old, new)


def reapplied(old: Manifest, manifest: Manifest, manager: str, time: str) -> Manifest:
    """The object after a server-side apply to it."""
    meta = manifest["metadata"]
    check(old, uid=meta.get("uid") or "", resource_version=meta.get("resourceVersion") or "")
    return _revised(old, applied(old, manifest, manager, time))


def _revised(old: Manifest, new: Manifest) -> Manifest:
    before, after = old["metadata"], new["metadata"]
    if "deletionTimestamp" in before:
        late = set(after.get(_FINALIZERS, ())) - set(before.get(_FINALIZERS, ()))
        if late:
            names = ", ".join(sorted(late))
            raise ClusterError(f"{Ref.of(old)} is being deleted and takes no finalizer: {names}")
    if _content(old) == _content(new):
        return new
    return {**new, "metadata": {**after, "generation": before["generation"] + 1}}


def _content(manifest: Manifest) -> Manifest:
    return {k: v for k, v in manifest.items() if k not in {"metadata", "status"}}


def _same_identity(old: Manifest, patch: Manifest) -> None:
    meta = patch.get("metadata") or {}
    ref = Ref.of(old)
    asked = (
        patch.get("apiVersion", ref.kind.api_version),
        patch.get("kind", ref.kind.name),
        meta.get("namespace") or ref.namespace,
        meta.get("name", ref.name),
    )
    if asked != (ref.kind.api_version, ref.kind.name, ref.namespace, ref.name):
        raise ClusterError(f"{ref} can't be renamed or become another kind by a patch")


def check(manifest: Manifest, *, uid: str, resource_version: str) -> None:
    """Raise `Conflict` unless the object is the one that was meant; empty means any."""
    meta = manifest["metadata"]
    if uid and uid != meta["uid"]:
        raise Conflict(f"{Ref.of(manifest)} is another object now: uid {meta['uid']}, not {uid}")
    if resource_version and resource_version != meta["resourceVersion"]:
        found = meta["resourceVersion"]
        raise Conflict(
            f"{Ref.of(manifest)} was written by somebody else: "
            f"resourceVersion {found}, not {resource_version}"
        )


def condemned(old: Manifest, time: str) -> Manifest:
    """The object once its deletion was asked for; `finished` says whether it may go at once."""
    meta = old["metadata"]
    if "deletionTimestamp" in meta:
        return old
    # An API server raises the generation here too, so that controllers take a fresh look.
    mark = {"deletionTimestamp": time, "generation": meta["generation"] + 1}
    return {**old, "metadata": {**meta, **mark}}


def finished(manifest: Manifest) -> bool:
    """Whether nothing keeps the object any longer."""
    meta = manifest["metadata"]
    return "deletionTimestamp" in meta and not meta.get(_FINALIZERS)
