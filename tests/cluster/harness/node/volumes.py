"""The volumes of a pod: folders with files in them."""

import asyncio
import shlex
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from canary.cluster.port import Kind, Manifest, Ref
from tests.cluster.harness.api import TROUBLE, Api
from tests.cluster.harness.node.environment import SOURCES, Missing, contents, field

ACCOUNT = Kind("v1", "ServiceAccount")
RUN = ("/var/run/", "/run/")


class Volumes:
    """One pod's. Writes them once; only tokens are renewed, as they end."""

    def __init__(self, api: Api, pod: Manifest, folder: Path, facts: Mapping[str, str]) -> None:
        self._api, self._pod, self._folder, self._facts = api, pod, folder, facts
        self._tokens: dict[Path, Manifest] = {}
        self._renew_at = float("inf")

    async def write(self) -> None:
        """May be repeated. Raises `Missing`, or one of `TROUBLE`."""
        for volume in self._pod["spec"].get("volumes", []):
            folder = self._folder / volume["name"]
            folder.mkdir(parents=True, exist_ok=True)
            for source in self._sources(volume):
                for name, content in (await self._files(folder, source)).items():
                    path = folder / name
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(content)

    def _sources(self, volume: Manifest) -> list[Manifest]:
        if "projected" in volume:
            return list(volume["projected"]["sources"])
        return [volume]

    async def _files(self, folder: Path, source: Manifest) -> dict[str, bytes]:
        if "emptyDir" in source:
            return {}
        for kind in SOURCES:
            if reference := source.get(kind):
                name = reference.get("name") or reference["secretName"]
                data = await contents(self._api, kind, self._pod, name, reference)
                items = reference.get("items")
                return {each["path"]: data[each["key"]] for each in items} if items else data
        if downward := source.get("downwardAPI"):
            return {
                item["path"]: field(self._pod, item["fieldRef"]["fieldPath"], self._facts).encode()
                for item in downward.get("items", [])
            }
        if wanted := source.get("serviceAccountToken"):
            self._tokens[folder / wanted["path"]] = wanted
            return {wanted["path"]: await self._token(wanted)}
        raise Missing(f"this node has no volumes of the kind {', '.join(set(source) - {'name'})}")

    async def _token(self, wanted: Manifest) -> bytes:
        meta, spec = self._pod["metadata"], self._pod["spec"]
        bound = {"kind": "Pod", "apiVersion": "v1", "name": meta["name"], "uid": meta["uid"]}
        audiences = [wanted["audience"]] if wanted.get("audience") else []
        seconds = wanted.get("expirationSeconds", 3600)
        request = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {
                "audiences": audiences,
                "expirationSeconds": seconds,
                "boundObjectRef": bound,
            },
        }
        account = spec.get("serviceAccountName", "default")
        ref = Ref(ACCOUNT, meta["namespace"], account)
        path = await self._api.path(ref, "token")
        status = (await self._api.request("POST", path, request))["status"]
        lifetime = datetime.fromisoformat(status["expirationTimestamp"]) - datetime.now(UTC)
        self._renew_at = min(self._renew_at, time.monotonic() + 0.8 * lifetime.total_seconds())
        return str(status["token"]).encode()

    async def renew_tokens(self) -> None:
        """For as long as the pod lives; a kubelet renews at four fifths of the lifetime, too."""
        while self._tokens:
            await asyncio.sleep(max(self._renew_at - time.monotonic(), 1))
            self._renew_at = float("inf")
            for path, wanted in self._tokens.items():
                try:
                    content = await self._token(wanted)
                except TROUBLE:
                    self._renew_at = min(self._renew_at, time.monotonic() + 1)
                else:
                    beside = path.with_name(f".{path.name}")
                    beside.write_bytes(content)
                    beside.replace(path)

    def places(self, container: Manifest) -> dict[str, Path]:
        """For each path in the container, the folder or file that is meant."""
        return {
            mount["mountPath"].rstrip("/"): self._folder / mount["name"] / mount.get("subPath", "")
            for mount in container.get("volumeMounts", [])
        }


def relocate(text: str, places: Mapping[str, Path]) -> str:
    """A path inside of a container, as this machine has it; other text stays as it is.

    >>> relocate("--config=/etc/app/a.yaml", {"/etc/app": Path("/tmp/x")})
    '--config=/tmp/x/a.yaml'
    """
    for inside, outside in places.items():
        for lead in ("", "="):
            before, found, after = text.partition(lead + inside)
            if found and (bool(lead) or not before) and after[:1] in ("", "/"):
                return f"{before}{lead}{outside}{after}"
    return text


def in_place(argv: Sequence[str], places: Mapping[str, Path]) -> list[str]:
    """The command, started so that it finds its volumes below /var/run at their real paths.

    That is where service-account tokens are, and clients look nowhere else. In a mount namespace
    of its own a process can have a /var/run of its own, without a trace on the machine.
    """
    links = {path: folder for path, folder in places.items() if path.startswith(RUN)}
    if not links:
        return list(argv)
    script = ["mount -t tmpfs tmpfs /var/run"]
    for path, folder in links.items():
        real = shlex.quote(path)
        script += [f'mkdir -p "$(dirname {real})"', f"ln -s {shlex.quote(str(folder))} {real}"]
    script.append('exec "$@"')
    mounts = ["unshare", "--mount", "--propagation", "private", "--"]
    return [*mounts, "sh", "-ec", "\n".join(script), "sh", *argv]
