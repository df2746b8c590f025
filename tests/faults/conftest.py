"""The lab: started once, for all tests of this folder that need no cluster of their own."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.faults.cluster import running_cluster
from tests.stand_in.fixtures import provider_process
from tests.stores import running_stores

pytest.register_assert_rewrite("tests.faults.lab")
from tests.faults.lab import Lab  # noqa: E402 -- its assertions are to say what they have met

#: The index of these tests takes some tens of megabytes, and the engine wants 256 left.
SMALL_DISK = "600m"


@contextmanager
def small_disk() -> Iterator[Path | None]:
    """A file system of its own that a test can fill; None where this user may not mount one."""
    folder = Path(tempfile.mkdtemp(prefix="small-disk-"))
    try:
        command = ["mount", "-t", "tmpfs", "-o", f"size={SMALL_DISK}", "tmpfs", str(folder)]
        mounted = shutil.which("mount") and subprocess.run(command, capture_output=True, check=False).returncode == 0
        try:
            yield folder if mounted else None
        finally:
            if mounted:
                subprocess.run(["umount", "--lazy", str(folder)], check=True)
    finally:
        folder.rmdir()


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """The cluster with one release live."""
    folder = tmp_path_factory.mktemp("faults")
    with ExitStack() as stack:
        provider, _ = stack.enter_context(provider_process())
        clean_provider, _ = stack.enter_context(provider_process())
        (folder / "clean").mkdir()
        stores = stack.enter_context(running_stores(folder / "clean"))
        disk = stack.enter_context(small_disk())
        cluster = stack.enter_context(running_cluster(folder / "cluster", provider, disk))
        made = Lab(cluster, stores, clean_provider, disk)
        (cluster.docs / "welcome.md").write_text(
            "# Welcome\n\nSentence about part 0, 1, 2, 3, 4 and 5 in revision 1.\n"
        )
        made.completed(cluster.post_ingest())
        yield made
