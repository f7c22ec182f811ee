"""What a real API server makes of routing objects: schemas, defaults, owners of fields."""

from typing import Any

import pytest
import yaml

from canary.cluster.port import Kind, Manifest, Ref
from canary.crd import Canary, parse
from canary.crd.status import CanaryStatus, Split
from canary.routers.base import Router
from canary.routers.registry import router
from tests.cluster.harness.api import Api, ApiError
from tests.cluster.harness.crds import install, read
from tests.routers.manifests import EXAMPLES, MANAGER

SOURCES = {
    "gatewayapi:v1": "gatewayapi",
    "gatewayapi:v1beta1": "gatewayapi",
    "nginx": "",
    "traefik": "traefik",
}
"""Provider to the CRDs that it needs."""
WALK = (
    Split(),
    Split.to_canary(1),
    Split.to_canary(50),
    Split.to_canary(100),
    Split.to_canary(100, matched=True),
    Split(mirrored=True),
    Split(),
)


@pytest.fixture(params=SOURCES)
async def provider(request: pytest.FixtureRequest, api: Api) -> str:
    if source := SOURCES[request.param]:
        await install(api, read(source))
    return str(request.param)


async def started(api: Api, namespace: str, provider: str) -> Canary:
    """The provider's example, in this namespace."""
    file = EXAMPLES / f"{provider.replace(':', '-')}.yaml"
    first, *others = yaml.safe_load_all(file.read_text())
    for manifest in others:
        manifest["metadata"]["namespace"] = namespace
        await api.apply(manifest, manager="kubectl")
    first["metadata"]["namespace"] = namespace
    made = parse(first)
    assert isinstance(made, Canary)
    return made


async def current(api: Api, made: Router, subject: Canary) -> dict[Ref, Manifest]:
    found = {}
    for ref in [*made.owns(subject), *made.reads(subject)]:
        try:
            found[ref] = await api.get(ref)
        except ApiError as error:
            if error.status != 404:
                raise
    return found


async def write(api: Api, made: Router, subject: Canary, split: Split) -> list[Manifest]:
    now = await current(api, made, subject)
    return [await api.apply(each, manager=MANAGER) for each in made.render(subject, now, split)]


def within(wanted: Any, live: Any) -> bool:
    """Whether what was written is what is there, defaults and fields of others apart."""
    if isinstance(wanted, dict) and isinstance(live, dict):
        return all(key in live and within(value, live[key]) for key, value in wanted.items())
    return bool(wanted == live)


def able(made: Router, split: Split) -> bool:
    can = made.abilities
    return (can.match or not split.matched) and (can.mirror_iterations or not split.mirrored)


async def test_takes_every_split_and_changes_nothing_about_it(
    api: Api, namespace: str, provider: str
) -> None:
    made, subject = router(provider, "test"), await started(api, namespace, provider)
    for split in WALK:
        if not able(made, split):
            continue
        once = await write(api, made, subject, split)
        now = await current(api, made, subject)
        assert made.read(subject, now) == split
        # Else every look would find something to mend.
        for manifest in made.render(subject, now, split):
            assert within(manifest, now[Ref.of(manifest)])
        assert await write(api, made, subject, split) == once


AFFINITY = {"sessionAffinity": {"cookieName": "c.1", "primaryCookieName": "p"}, "stepWeight": 10}
COOKIES = CanaryStatus(
    session_affinity_cookie="c.1=abc",
    primary_session_affinity_cookie="p=def",
    previous_session_affinity_cookie="c.1=old",
)


async def test_takes_the_rules_for_cookies_beside_the_services_own_headers(
    api: Api, namespace: str
) -> None:
    await install(api, read("gatewayapi"))
    base = await started(api, namespace, "gatewayapi:v1")
    manifest = base.model_dump(mode="json", by_alias=True, exclude_unset=True)
    manifest["spec"]["analysis"] = {"interval": "1m", "threshold": 5, **AFFINITY}
    subject = parse(manifest)
    assert isinstance(subject, Canary)
    subject = subject.model_copy(update={"status": COOKIES})
    made = router("gatewayapi:v1", "test")
    for weight in (20, 100, 0):
        split = Split.to_canary(weight)
        once = await write(api, made, subject, split)
        assert made.read(subject, await current(api, made, subject)) == split
        assert await write(api, made, subject, split) == once


async def test_a_rule_that_somebody_adds_stays_for_all_of_a_release(
    api: Api, namespace: str
) -> None:
    await install(api, read("gatewayapi"))
    made = router("gatewayapi:v1", "test")
    subject = await started(api, namespace, "gatewayapi:v1")
    [route] = await write(api, made, subject, Split())
    match = {"path": {"type": "Exact", "value": "/admin"}}
    backends = [{"name": "admin", "port": 80}]
    theirs = {"name": "admin", "matches": [match], "backendRefs": backends}
    rules = [theirs, *route["spec"]["rules"]]
    await api.patch(Ref.of(route), {"spec": {"rules": rules}})
    for split in (Split.to_canary(10), Split.to_canary(100, matched=True), Split()):
        [route] = await write(api, made, subject, split)
        assert route["spec"]["rules"][-1]["name"] == "admin"
        assert made.read(subject, {Ref.of(route): route}) == split


async def test_annotations_that_another_controller_left_go_away(api: Api, namespace: str) -> None:
    made, subject = router("nginx", "test"), await started(api, namespace, "nginx")
    users = await api.get(Ref(Kind("networking.k8s.io/v1", "Ingress"), namespace, "podinfo"))
    start = "nginx.ingress.kubernetes.io/canary"
    left = {start: "true", f"{start}-weight": "5", f"{start}-weight-total": "1000"}
    [ref] = made.owns(subject)
    # By an update, as controllers do that know nothing of server-side apply.
    await api.create(ref.manifest(metadata={"annotations": left}, spec=users["spec"]))
    [once] = await write(api, made, subject, Split.to_canary(10))
    assert made.read(subject, {ref: once}) == Split.to_canary(10)
    [twice] = await write(api, made, subject, Split.to_canary(10))
    found = twice["metadata"]["annotations"]
    assert {key: value for key, value in found.items() if start in key} == {
        start: "true",
        f"{start}-weight": "10",
    }
    assert await write(api, made, subject, Split.to_canary(10)) == [twice]
