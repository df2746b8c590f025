"""One Compose project on a copy of the working tree, as an owner has it after a clone."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Final, TypeVar

import httpx

ROOT: Final = Path(__file__).parents[2]
#: Enough for a start on a busy machine with two cores; a healthy one takes six seconds.
START_SECONDS: Final = 120
#: A few hundred passages with the local model, while other containers come and go.
JOB_SECONDS: Final = 150
TERMINAL: Final = ("completed", "failed", "cancelled")

Event = tuple[str, dict[str, Any]]
T = TypeVar("T")


class Compose:
    """`docker compose` in a clone, with the stores' public images replaced as `compose.override.yml` says."""

    def __init__(self, clone: Path, project: str, api_port: int, flower_port: int) -> None:
        self.clone = clone
        self.project = project
        self.flower = f"http://127.0.0.1:{flower_port}"
        self.api = httpx.Client(base_url=f"http://127.0.0.1:{api_port}", timeout=30, trust_env=False)
        self._ports = {"API_PORT": str(api_port), "FLOWER_PORT": str(flower_port)}

    def write_env(self, **variables: str) -> None:
        """The owner's `.env`; without variables there is none."""
        file = self.clone / ".env"
        file.unlink(missing_ok=True)
        if variables:
            file.write_text("".join(f"{name}={value}\n" for name, value in variables.items()))

    def run(self, *arguments: str, check: bool = True, seconds: int = 300) -> subprocess.CompletedProcess[str]:
        """`docker compose ...`; its output as text."""
        done = subprocess.run(
            self._command(arguments), cwd=self.clone, env=self._environment(), capture_output=True, text=True,
            timeout=seconds, check=False,
        )  # fmt: skip
        if check and done.returncode:
            raise AssertionError(f"docker compose {' '.join(arguments)}: {done.stdout[-3000:]}{done.stderr[-3000:]}")
        return done

    def pipe(self, *arguments: str, stdin: IO[bytes] | None = None, stdout: IO[bytes] | None = None) -> bytes:
        """`docker compose ... < stdin > stdout`; what it prints where it is not sent elsewhere."""
        done = subprocess.run(
            self._command(arguments), cwd=self.clone, env=self._environment(), stdin=stdin,
            stdout=stdout or subprocess.PIPE, stderr=subprocess.PIPE, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout or b""

    def _command(self, arguments: Sequence[str]) -> list[str]:
        files = ("-f", "docker-compose.yml", "-f", "tests/docker/compose.override.yml")
        return ["docker", "compose", "-p", self.project, *files, *arguments]

    def _environment(self) -> dict[str, str]:
        """Nothing of the developer's own but what `docker` needs."""
        return {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "HOME": str(Path.home()), **self._ports}

    def up(self, *options: str) -> None:
        """Start what is not running, and wait until every part is healthy."""
        self.run("up", "--detach", "--wait", "--wait-timeout", str(START_SECONDS), *options)

    def containers(self, service: str | None = None) -> list[dict[str, Any]]:
        """`docker inspect` of the project's containers, the ended ones too."""
        ids = self.run("ps", "--all", "--quiet", *([service] if service else [])).stdout.split()
        return list(json.loads(docker("inspect", *ids))) if ids else []

    def execute(self, service: str, *command: str) -> str:
        """What a command prints in a service's container."""
        return self.run("exec", "-T", service, *command).stdout

    def admin(self) -> dict[str, str]:
        """The header that opens the admin routes."""
        return {"X-API-Key": self.execute("api", "cat", "/run/lectern/ADMIN_API_KEY").strip()}

    def start_job(self, path: str = ".") -> str:
        answer = self.api.post("/ingest", json={"content_path": path}, headers=self.admin())
        assert answer.status_code == 202, answer.text
        return str(answer.json()["task_id"])

    def job(self, job: str) -> dict[str, Any]:
        answer = self.api.get("/ingest/status", params={"task_id": job}, headers=self.admin())
        return dict(answer.raise_for_status().json())

    def wait_for(self, job: str) -> dict[str, Any]:
        """The job once it has ended."""
        return until(lambda: self.job(job), lambda found: found["status"] in TERMINAL, JOB_SECONDS)

    def ask(self, question: str, timeout: float = 30) -> Iterator[Event]:
        """The events of an answer, as they come."""
        with self.api.stream("POST", "/chat", json={"question": question}, timeout=timeout) as reply:
            assert reply.status_code == 200, reply.read()
            name = ""
            for line in reply.iter_lines():
                if line.startswith("event:"):
                    name = line.removeprefix("event:").strip()
                elif line.startswith("data:"):
                    data = json.loads(line.removeprefix("data:"))
                    yield name or data["type"], data
                    name = ""

    def points(self) -> list[tuple[str, ...]]:
        """Every passage (path, digest) and page (path, passages) that a visitor can see."""
        return [tuple(row) for row in json.loads(self.execute("api", "python", "-c", POINTS))["visible"]]

    def stored(self) -> int:
        """All points there are, whoever can see them."""
        return int(json.loads(self.execute("api", "python", "-c", POINTS))["stored"])

    def close(self) -> None:
        self.api.close()


#: Runs in the API's container, because nothing outside can reach Qdrant.
POINTS: Final = """
import asyncio, json
from shared.services import open_qdrant, open_services
from shared.settings import load_settings

async def main():
    async with open_services(load_settings()) as services:
        live = await services.releases.live()
        paths = [page.path async for page in services.store.page_facts(live.collection, live.number)]
        pages = await services.store.pages_of(live.collection, live.number, paths)
        chunks = await services.store.chunks_of(live.collection, live.number, list(pages))
        rows = [("chunk", c.chunk.path, c.digest) for c in chunks]
        rows += [("page", path, str(len(p.chunk_ids))) for path, p in pages.items()]
        client = open_qdrant(services.settings)
        stored = (await client.count(live.collection, exact=True)).count
        await client.close()
        print(json.dumps({"visible": sorted(rows), "stored": stored}))

asyncio.run(main())
"""


def docker(*arguments: str) -> str:
    """What `docker ...` prints."""
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True, timeout=300).stdout


def build(clone: Path, file: str, tag: str) -> None:
    """Build the last stage of a Dockerfile."""
    command = ["docker", "build", "--quiet", "--file", file, "--tag", tag, "."]
    done = subprocess.run(command, cwd=clone, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


def copy_tree(target: Path) -> Path:
    """The files of a clone: what git tracks or would track, in the state of the working tree."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    return target


def until(look: Callable[[], T], reached: Callable[[T], bool], seconds: float, pause: float = 0.2) -> T:
    """What `look` sees once it is as it should be."""
    deadline = time.monotonic() + seconds
    while not reached(seen := look()):
        assert time.monotonic() < deadline, f"not reached within {seconds} s; last seen: {seen}"
        time.sleep(pause)
    return seen
