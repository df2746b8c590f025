"""Where content may be read from: a requested path is either inside the content root or refused."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Final

from shared.errors import ContentNotFound, InvalidInput

#: The file endings of pages.
PAGE_ENDINGS: Final = (".md", ".mdx")
#: Limits of Linux file systems: bytes of one name, bytes of a whole path.
MAX_NAME_BYTES: Final = 255
MAX_PATH_BYTES: Final = 4096


def resolve_content_path(
    root: Path, requested: str, configured: str | None = None, endings: tuple[str, ...] = PAGE_ENDINGS
) -> Path:
    """The folder or page that `requested` names, as an absolute path free of symbolic links.

    `requested` is relative to `root`; "" and "." are the root itself. Also accepted: an absolute path inside the root,
    and one that starts with `configured`, the root as its owner writes it (`./book_content`). `endings` are a page's.
    Raises InvalidInput if it leads out of the root or cannot be a path, ContentNotFound if nothing is there.
    """
    _refuse_impossible(requested)
    try:
        root = root.resolve(strict=True)
    except (OSError, RuntimeError) as error:
        raise ContentNotFound("The content folder is not there; set CONTENT_ROOT to a folder of Markdown.") from error
    target = _follow(root / _relative(root, requested, configured), requested)
    if not target.is_relative_to(root):
        raise InvalidInput(
            f"{requested!r} leads out of the content folder through a symbolic link; "
            "name a folder or page that is really inside it."
        )
    if not target.exists():
        raise ContentNotFound(f"There is no {requested!r} in the content folder; paths are relative to it.")
    if not target.is_dir() and not (target.is_file() and target.suffix.lower() in endings):
        raise InvalidInput(
            f"{requested!r} is neither a folder nor a page; pages end in {', '.join(endings[:-1])} or {endings[-1]}."
        )
    return target


def remote_content_path(requested: str) -> str:
    """`requested` relative to the root of a source that is not on this machine: "." is all of it.

    Raises InvalidInput if it cannot be a path below a root. Whether something is there shows when it is fetched.
    """
    _refuse_impossible(requested)
    path = PurePosixPath(requested)
    if path.is_absolute():
        raise InvalidInput(f"{requested!r} starts at the top of a disk; use a path relative to the source's folder.")
    return path.as_posix()


def _refuse_impossible(requested: str) -> None:
    try:
        encoded = requested.encode()
    except UnicodeEncodeError as error:
        raise InvalidInput("The content path is not valid text; send it as UTF-8.") from error
    if "\0" in requested:
        raise InvalidInput("The content path contains a NUL character; remove it.")
    if "\\" in requested:
        raise InvalidInput(f"{requested!r} contains a backslash; separate folders with /.")
    if "://" in requested:
        raise InvalidInput(f"{requested!r} is an address; name a folder or page inside the content folder.")
    if requested.startswith("~"):
        raise InvalidInput(f"{requested!r} starts with ~, which is not expanded; use a path inside the content folder.")
    if ".." in requested.split("/"):
        raise InvalidInput(f"{requested!r} contains '..'; use a path inside the content folder, without it.")
    if len(encoded) > MAX_PATH_BYTES or any(len(name) > MAX_NAME_BYTES for name in encoded.split(b"/")):
        raise InvalidInput(
            f"The content path is too long: at most {MAX_PATH_BYTES} bytes, {MAX_NAME_BYTES} bytes a name."
        )


def _relative(root: Path, requested: str, configured: str | None) -> PurePosixPath:
    """`requested` without what stands for the root. A folder of the root that has the root's own name comes first."""
    path = PurePosixPath(requested)
    if configured is not None and not (root / path).exists():
        prefix = PurePosixPath(configured)
        if path.is_relative_to(prefix):
            return path.relative_to(prefix)
    if not path.is_absolute():
        return path
    if not path.is_relative_to(root):
        raise InvalidInput(f"{requested!r} is outside the content folder; use a path relative to it.")
    return path.relative_to(root)


def _follow(path: Path, requested: str) -> Path:
    try:
        return path.resolve()
    except RuntimeError as error:
        raise InvalidInput(
            f"{requested!r} is a symbolic link that leads back to itself; name a real folder."
        ) from error
    except OSError as error:
        raise InvalidInput(f"{requested!r} cannot be opened ({error.strerror}); check the path.") from error
