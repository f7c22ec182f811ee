"""What a refusal of the API server means to the one who asked, and what would mend it."""

import json
import re
from http import HTTPStatus

from canary.cluster.port import Manifest
from canary.errors import AlreadyExists, ClusterError, Conflict, Expired, Forbidden, NotFound

# How the server words a missing permission, whichever authorizer said no.
_DENIED = re.compile(
    r'User "(?P<user>[^"]*)" cannot (?P<verb>\S+) resource "(?P<resource>[^"]+)"'
    r' in API group "(?P<group>[^"]*)"'
    r'(?: in the namespace "(?P<namespace>[^"]*)"| at the cluster scope)?'
)
_SHOWN = 300
"""Characters of an answer that isn't the API server's: a proxy's page may be long."""


class NoSuchPath(NotFound):
    """The server doesn't know the path at all, as when a CRD was removed."""


def read(text: str) -> Manifest:
    """The `Status` in the body of a refusal, or one made of whatever is there instead."""
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {"message": text[:_SHOWN].strip()}


def refusal(code: int, status: Manifest, what: str, source: str = "") -> ClusterError:
    """The error for an HTTP status code and a `Status`.

    `what` was wanted, as in `patch Canary default/app`; `source` says whose credentials were used.
    """
    said = f"{what}: {status.get('message') or _phrase(code)}"
    if code == HTTPStatus.UNAUTHORIZED:
        said = (
            f"{what}: the API server doesn't accept the credentials of {source or 'this client'}"
            " (401 Unauthorized): they expired, were revoked, or are another cluster's"
        )
    if code == HTTPStatus.FORBIDDEN:
        return Forbidden(said + _rule(said))
    if code == HTTPStatus.NOT_FOUND:
        return NotFound(said) if status.get("kind") == "Status" else NoSuchPath(said)
    if code == HTTPStatus.CONFLICT:
        return AlreadyExists(said) if status.get("reason") == "AlreadyExists" else Conflict(said)
    return Expired(said) if code == HTTPStatus.GONE else ClusterError(said)


def _rule(message: str) -> str:
    """The RBAC rule whose absence the message tells of, if that is what it tells."""
    found = _DENIED.search(message)
    if found is None:
        return ""
    if found["user"] == "system:anonymous":
        return ". The request carried no credentials: the kubeconfig or the pod names none"
    role = f"a Role in namespace {found['namespace']}" if found["namespace"] else "a ClusterRole"
    rule = (
        f'{{apiGroups: ["{found["group"]}"], resources: ["{found["resource"]}"],'
        f' verbs: ["{found["verb"]}"]}}'
    )
    return f". Missing in {role} bound to {found['user']}: {rule}"


def _phrase(code: int) -> str:
    try:
        return HTTPStatus(code).phrase
    except ValueError:
        return "an answer without a word"
