"""Releases of the past and present."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Path, Query

from canary.crd import Canary
from canary.engine.journal import KEPT, PastRun
from canary.errors import nearest
from canary.web.lookup import canary_of
from canary.web.problems import ApiError
from canary.web.routes.common import Name, Namespace, Serving, errors
from canary.web.service import Service
from canary.web.views import EntryView, RunDetailView, RunListView, RunView

router = APIRouter(prefix="/api/v1/canaries/{namespace}/{name}/runs", tags=["runs"])


@router.get("", summary="The releases of a Canary", responses=errors(404, 422))
async def runs(service: Serving, namespace: Namespace, name: Name) -> RunListView:
    """The current one and those before it, newest first."""
    canary = canary_of(service, namespace, name)
    found = _runs(service, canary)
    return RunListView(items=[RunView.of(each, canary.status.run) for each in found])


@router.get("/{run}", summary="One release, look by look", responses=errors(404, 422))
async def run(
    service: Serving,
    namespace: Namespace,
    name: Name,
    run: Annotated[str, Path(description="The id of the release.", examples=["3f1c9a2b7d04"])],
    limit: Annotated[int, Query(ge=1, le=KEPT, description="The newest so many looks.")] = 200,
) -> RunDetailView:
    """What was seen, decided and done each time somebody looked."""
    canary = canary_of(service, namespace, name)
    found = {each.run.id: each for each in _runs(service, canary)}
    if run not in found:
        near = nearest(run, list(found))
        hint = f"; did you mean {near!r}?" if near else ""
        raise ApiError(HTTPStatus.NOT_FOUND, f"{canary.key} has no run {run!r}{hint}")
    view = RunView.of(found[run], canary.status.run)
    entries = service.journal.entries(canary.key, limit=limit, run=run)
    fields = {name: getattr(view, name) for name in RunView.model_fields}
    return RunDetailView(**fields, entries=[EntryView.of(each) for each in entries])


def _runs(service: Service, canary: Canary) -> list[PastRun]:
    """What the journal has, and the current run even if the journal was lost."""
    found, current = service.journal.runs(canary.key), canary.status.run
    if current is None or any(each.run.id == current.id for each in found):
        return found
    return [PastRun(canary.key, str(canary.status.phase), current), *found]
