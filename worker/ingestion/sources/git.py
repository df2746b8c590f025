"""A git repository as the source: fetched shallow, and each revision written out as plain files.

    SOURCES_DIR/git-<id>/mirror.git        objects of the revisions that were fetched, so that the next fetch is small
    SOURCES_DIR/git-<id>/<commit>/         the files of one commit

Git never writes a file of the repository: its objects are read, and what is an ordinary file is written here. So a
link in the repository is no link on disk, and neither attributes nor filters nor names have a say.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from shared.errors import JobFailed
from shared.settings import Settings
from worker.ingestion.sources.addresses import Place, place_of
from worker.ingestion.sources.copies import (
    Fetched,
    keep,
    only_one,
    put_in_place,
    revision_folder,
    source_folder,
    staging_folder,
)
from worker.ingestion.sources.git_command import Git, GitFailed, open_git, too_large
from worker.ingestion.sources.tree import Tree, files_around, read_tree, write_files

#: Where the last fetch is kept among the mirror's references: the next one only asks for what is new.
FETCHED: Final = "refs/lectern/fetched"
REF: Final = re.compile(r"(?!-)[A-Za-z0-9._/-]{1,200}")
_COMMIT: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
#: One a fetch. Beyond that, a mirror that is fetched anew is faster than one that has grown for months.
MOST_PACKS: Final = 60


@dataclass(frozen=True, slots=True)
class Repository:
    """What the settings say of the repository, checked once more: these values become arguments of a program."""

    url: str
    ref: str
    folder: str

    @classmethod
    def of(cls, settings: Settings) -> Repository:
        ref = settings.source_git_ref or "HEAD"
        if not REF.fullmatch(ref):
            raise JobFailed(f"{ref[:80]!r} cannot be a branch, tag or commit; correct SOURCE_GIT_REF")
        return cls(settings.source_git_url or "", ref, settings.source_git_folder or "")

    @property
    def shown(self) -> str:
        """Where the docs come from, for people."""
        parts = urlsplit(self.url)
        return f"{parts.netloc}{parts.path}" + (f", folder {self.folder}" if self.folder else "")

    def copies(self, sources: Path) -> Path:
        return source_folder(sources, "git", self.url, self.folder)

    def content(self, written: Path) -> Path:
        """The content root in the folder of a commit."""
        return written / self.folder if self.folder else written


async def fetch_git(settings: Settings, since: str = "") -> Fetched:
    """The newest commit of the configured reference. Raises JobFailed; may take as long as the server does."""
    repository = Repository.of(settings)
    place = await _place(settings)
    folder = repository.copies(settings.sources_dir.absolute())
    async with only_one(folder) as lock:
        git = await open_git(settings, folder / "mirror.git", place, lock)
        commit = await _fetched_commit(git, repository, repository.ref)
        tree = await read_tree(git, commit, repository.folder)
        written = await _written(git, folder, commit, tree, settings)
        changed = await _changed(git, since, commit, repository.folder)
    note = f"{repository.shown} at {commit[:12]} ({repository.ref}): {len(tree.files):,} files"
    return Fetched(repository.content(written), commit, changed, note, tree.faults)


async def checkout_git(settings: Settings, revision: str) -> Path:
    """The folder of one commit; fetched if it is not on this machine. Raises JobFailed if it cannot be had."""
    repository = Repository.of(settings)
    folder = repository.copies(settings.sources_dir.absolute())
    target = revision_folder(folder, revision)
    if target.is_dir():
        keep(target)
        return repository.content(target)
    place = await _place(settings)
    async with only_one(folder) as lock:
        git = await open_git(settings, folder / "mirror.git", place, lock)
        if not target.is_dir():  # else another process of this machine was faster
            await _fetched_commit(git, repository, revision)
            await _written(git, folder, revision, await read_tree(git, revision, repository.folder), settings)
    return repository.content(target)


async def _place(settings: Settings) -> Place:
    """The server's addresses, if it may be asked at all."""
    place = await place_of(settings.source_git_url or "", allow_private=settings.source_allow_private)
    on_this_machine = all(address.startswith("127.") or address == "::1" for address in place.addresses)
    if settings.source_git_token is not None and place.scheme != "https" and not on_this_machine:
        raise JobFailed(
            f"{place.host} is asked without TLS, and SOURCE_GIT_TOKEN would be readable on the way; use https://"
        )
    return place


async def _fetched_commit(git: Git, repository: Repository, ref: str) -> str:
    """Bring a reference or a commit into the mirror. A mirror that is broken, or has outgrown its use, is made anew."""
    if git.repository.exists() and await asyncio.to_thread(_outgrown, git):
        await asyncio.to_thread(shutil.rmtree, git.repository, ignore_errors=True)
    for is_new in (not git.repository.exists(), True):
        try:
            return await _fetch(git, repository, ref)
        except GitFailed as error:
            reason = reason_of(error.said, repository, ref)
            if reason is not None or is_new:
                raise JobFailed(reason or _unknown_reason(error.said, repository)) from error
        except JobFailed:  # too large: it would only take up the disk
            await asyncio.to_thread(shutil.rmtree, git.repository, ignore_errors=True)
            raise
        await asyncio.to_thread(shutil.rmtree, git.repository, ignore_errors=True)
    raise AssertionError("the last attempt returns or raises")


async def _fetch(git: Git, repository: Repository, ref: str) -> str:
    await asyncio.to_thread(_prepare, git.repository)
    if not (git.repository / "HEAD").exists():
        await git.run("init", "--quiet", "--bare", "--template=")
    await git.run(
        "fetch", "--quiet", "--depth=1", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head",
        "--", repository.url, f"+{ref}:{FETCHED}", grows=True,
    )  # fmt: skip
    commit = await git.run("rev-parse", "--verify", "--end-of-options", f"{FETCHED}^{{commit}}")
    return commit.decode().strip()


def _prepare(mirror: Path) -> None:
    """Remove what a git that was killed has left; nobody else is at work here, because the lock is held."""
    mirror.mkdir(exist_ok=True)
    for left in (*mirror.glob("*.lock"), *mirror.glob("refs/**/*.lock"), *mirror.glob("objects/pack/tmp_*")):
        left.unlink(missing_ok=True)


def _outgrown(git: Git) -> bool:
    packs = len(list(git.repository.glob("objects/pack/*.pack")))
    return packs > MOST_PACKS or git.size() > git.most_bytes * 3 // 4


async def _written(git: Git, folder: Path, commit: str, tree: Tree, settings: Settings) -> Path:
    """The folder with the commit's files, made if it is not there."""
    target = revision_folder(folder, commit)
    if target.is_dir():
        keep(target)
        return target
    if tree.bytes > settings.source_max_bytes:
        raise too_large(settings.source_max_bytes)
    staging = staging_folder(folder)
    try:
        await write_files(git, tree, staging)
        return await asyncio.to_thread(put_in_place, staging, folder, commit)
    except OSError as error:
        raise JobFailed(f"the repository's files cannot be written to {folder}: {error.strerror}") from error
    finally:
        await asyncio.to_thread(shutil.rmtree, staging, ignore_errors=True)


async def _changed(git: Git, since: str, commit: str, folder: str) -> frozenset[str] | None:
    """Paths below the folder that differ between two commits; None if that cannot be told.

    It cannot if the older commit is not here any more, nor if a file around the folder differs: a site's config, say.
    """
    if not _COMMIT.fullmatch(since):
        return None
    if await files_around(git, since, folder) != await files_around(git, commit, folder):
        return None
    trees = [f"{revision}:{folder}" for revision in (since, commit)]
    try:
        listing = await git.run("diff-tree", "-r", "--name-only", "--no-renames", "-z", "--end-of-options", *trees)
    except GitFailed:
        return None
    return frozenset(os.fsdecode(path) for path in listing.split(b"\0") if path)


#: What git says, to what its owner can do about it.
_REASONS: Final[Mapping[str, str]] = {
    r"couldn't find remote ref|invalid refspec|not our ref|needed a single revision": (
        "has no branch, tag or commit {ref}; correct SOURCE_GIT_REF"
    ),
    r"could not read Username|could not read Password|Authentication failed|error: 40[13]\b": (
        "refuses access; set SOURCE_GIT_TOKEN to a token that may read the repository"
    ),
    r"repository '.*' not found|error: 404\b": (
        "is not there, or needs SOURCE_GIT_TOKEN to be seen; check SOURCE_GIT_URL"
    ),
    r"error: 3\d\d\b|unable to update url base": (
        "answers with a redirect, which is not followed; set SOURCE_GIT_URL to the address where it leads"
    ),
    r"certificate": (
        "shows a certificate that is not trusted; name its authority's file with SOURCE_CA_FILE"
    ),
    r"Failed to connect|Couldn't connect|Connection refused|Connection reset|timed out|too slow|transfer closed|"
    r"Empty reply|error: 5\d\d\b|early EOF|hung up|RPC failed|unexpected disconnect|Recv failure|Could not resolve|"
    r"error: 429\b|recv error|handshake|TLS|SSL": "does not answer as it should; try again later",
    r"not valid: is this a git repository": (
        "is no git repository; set SOURCE_GIT_URL to the address that `git clone` takes"
    ),
    r"No space left": "does not fit on the worker's disk; make room, or let SOURCES_DIR name another folder",
    r"transport '\w*' not allowed": "needs a protocol that is not allowed; use https://",
}  # fmt: skip


def reason_of(said: str, repository: Repository, ref: str) -> str | None:
    """One line for the owner; None if git's words are of a kind that nobody has foreseen."""
    for pattern, reason in _REASONS.items():
        if re.search(pattern, said, re.IGNORECASE):
            return f"{repository.url} {reason.format(ref=ref)} (nothing was changed)"
    return None


def _unknown_reason(said: str, repository: Repository) -> str:
    last = said.rpartition("\n")[2] or "git gave no reason"
    return f"{repository.url} could not be fetched, and nothing was changed: {last}"
