"""GET /releases, GET /releases/{number} and POST /releases/{number}/activate, for admins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path

from api.dependencies import ServicesDep, require_admin
from api.release_schemas import ReleaseActivated, ReleaseDetail, ReleaseGate, ReleaseList, ReleaseOut
from shared.chunk_collections import CollectionSpec
from shared.models import FOREVER, Release
from shared.rollback import activate
from shared.services import Services

router = APIRouter(tags=["releases"], dependencies=[Depends(require_admin)])

ReleaseNumber = Annotated[int, Path(ge=1, le=FOREVER, description="a release's number, as GET /releases lists them")]


@router.get("/releases")
async def list_releases(services: ServicesDep) -> ReleaseList:
    """Every kept release, newest first."""
    releases = await services.releases.all()
    live = await services.releases.live()
    totals = await services.releases.change_totals()
    specs = await _specs(services, releases)
    shown = [release_out(release, live, specs, totals.get(release.number)) for release in reversed(releases)]
    return ReleaseList(releases=shown, total=len(shown), live=live.number if live else None)


@router.get("/releases/{number}")
async def show_release(number: ReleaseNumber, services: ServicesDep) -> ReleaseDetail:
    """One release, with the pages that it changed for visitors."""
    release = await services.releases.get(number)
    live = await services.releases.live()
    changes = await services.releases.changes(number)
    shown = release_out(release, live, await _specs(services, [release]), changes["totals"] if changes else None)
    return detail_of(shown, changes)


@router.post("/releases/{number}/activate")
async def activate_release(number: ReleaseNumber, services: ServicesDep) -> ReleaseActivated:
    """Make a release the live one, at once and for all processes. Sending it again changes nothing."""
    activated = await activate(services.store, services.releases, number)
    release = activated.release
    specs = await _specs(services, [release])
    totals = (await services.releases.change_totals()).get(number)
    before = activated.before
    return ReleaseActivated(
        release=release_out(release, release, specs, totals),
        previous=before.number if before else None,
        changed=activated.is_change,
        message=f"release {number} is live" + ("" if activated.is_change else ", as it was before"),
        warning=model_warning(release, specs, services),
    )


async def _specs(services: Services, releases: Sequence[Release]) -> dict[str, CollectionSpec]:
    """What the releases' collections were made for, those that are there."""
    there = set(await services.store.collections())
    return {name: await services.store.spec_of(name) for name in {release.collection for release in releases} & there}


def release_out(
    release: Release, live: Release | None, specs: Mapping[str, CollectionSpec], totals: Mapping[str, int] | None
) -> ReleaseOut:
    """A release as it stands now."""
    spec = specs.get(release.collection)
    is_live = live is not None and live.number == release.number
    return ReleaseOut(
        number=release.number,
        state="live" if is_live else "held" if release.state == "held" else "kept",
        live=is_live,
        held=release.state == "held" and not is_live,
        documents=release.documents,
        chunks=release.chunks,
        job_id=release.job_id,
        created_at=release.created_at,
        collection=release.collection,
        model=spec.model if spec else None,
        dimensions=spec.dimensions if spec else None,
        changes=dict(totals) if totals is not None else None,
    )


def detail_of(release: ReleaseOut, changes: Mapping[str, Any] | None) -> ReleaseDetail:
    """With the lists of pages, where they were recorded."""
    recorded = changes or {}
    gate = recorded.get("gate")
    return ReleaseDetail(
        **release.model_dump(),
        base=recorded.get("base"),
        note=recorded.get("note"),
        gate=ReleaseGate(**gate) if gate else None,
        **{name: recorded.get(name, []) for name in ("added", "changed", "moved", "removed")},
    )


def model_warning(release: Release, specs: Mapping[str, CollectionSpec], services: Services) -> str | None:
    """What a visitor notices of a release that was made with another embedding model than questions are."""
    spec = specs.get(release.collection)
    if spec is None or spec.model == services.embedder.model:
        return None
    return (
        f"release {release.number} was made with {spec.model}, and questions are embedded with "
        f"{services.embedder.model}: they are searched for by their words alone until EMBEDDING_MODEL names the "
        "release's model again"
    )
