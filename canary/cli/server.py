"""Which server a command speaks to, and which Canary it is about."""

from dataclasses import dataclass
from typing import Any, Self

from canary.cli.api import HOW_TO_START, Api, NobodyThere, path_of
from canary.errors import ClusterError

ROOT = "/api/v1/canaries"
STREAM = "/api/v1/stream"


def connect(server: str, timeout: float = 10.0) -> Api:
    """The server that was named, or else the one local controller that runs on this machine."""
    if server:
        return Api(server if "://" in server else f"http://{server}", timeout)
    from canary.local import address

    url = address.find()
    if url is None:
        raise NobodyThere(f"no local controller is running\n{HOW_TO_START}")
    return Api(url, timeout)


@dataclass(frozen=True, slots=True)
class Named:
    """One Canary on one server."""

    api: Api
    namespace: str
    name: str

    @classmethod
    def of(cls, server: str | Api, namespace: str, name: str) -> Self:
        """`name` may be `namespace/name`, as `-A -o name` prints it."""
        api = connect(server) if isinstance(server, str) else server
        above, slash, own = name.partition("/")
        return cls(api, above if slash else namespace, own if slash else name)

    def get(self, *more: str) -> Any:
        """What the API says about it, or about something that belongs to it."""
        return self.api.get(self.path(*more))

    def path(self, *more: str) -> str:
        return path_of(ROOT, self.namespace, self.name, *more)


def listed(api: Api, namespace: str) -> list[dict[str, Any]]:
    """All Canaries of a namespace, or of all of them when it is empty."""
    said = api.get(ROOT, {"namespace": namespace})
    if not isinstance(said.get("items"), list):
        raise ClusterError(f"{api.url} answers, but not as canary's status API does")
    items: list[dict[str, Any]] = said["items"]
    return items
