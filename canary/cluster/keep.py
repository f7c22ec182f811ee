"""What of an object a cache keeps."""

from enum import Enum

from canary.cluster.port import Manifest

APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
"""A copy of the whole object, of a Secret's content as well, in an annotation."""


class Keep(Enum):
    """What of each object is worth its memory."""

    ALL = "all"
    CONTENT = "content"
    """Without who wrote which field, which is often half of an object."""
    METADATA = "metadata"
    """That it changed, and nothing that may be secret or large; the server sends no more."""

    def slim(self, manifest: Manifest) -> Manifest:
        if self is Keep.ALL:
            return manifest
        meta = {k: v for k, v in manifest["metadata"].items() if k != "managedFields"}
        if APPLIED in meta.get("annotations", ()):
            meta["annotations"] = {k: v for k, v in meta["annotations"].items() if k != APPLIED}
        if self is Keep.METADATA:
            manifest = {k: manifest[k] for k in ("apiVersion", "kind")}
        return {**manifest, "metadata": meta}
