"""Pods run with little, are probed, end in order, and read one content."""

from __future__ import annotations

import re
import tomllib
from importlib.util import find_spec

import yaml

from api.main import create_app
from shared.queue import make_celery
from shared.settings import load_settings
from tests.unit.kubernetes.rendering import OURS, ROOT, STORES, Rendering, Workload


def test_every_container_asks_for_as_little_as_it_can(rendering: Rendering) -> None:
    for workload in rendering.workloads:
        pod = workload.pod
        assert pod["automountServiceAccountToken"] is False
        assert not rendering.one("ServiceAccount", pod["serviceAccountName"])["automountServiceAccountToken"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] > 0
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
        for container in workload.containers:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, container["name"]
            assert set(container["resources"]["requests"]) == {"cpu", "memory"}
            assert "memory" in container["resources"]["limits"]
    labels = rendering.one("Namespace", "lectern")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_every_container_is_probed_and_probes_ask_what_is_there(rendering: Rendering) -> None:
    for workload in rendering.workloads:
        ports = {port["name"] for port in workload.container.get("ports", [])}
        for name in ("livenessProbe", "readinessProbe"):
            (kind,) = {"httpGet", "tcpSocket", "exec"} & set(workload.container[name])
            assert kind == "exec" or workload.container[name][kind]["port"] in ports
    api, worker = rendering.workload("lectern-api").container, rendering.workload("lectern-worker").container
    routes = create_app(load_settings(None)).openapi()["paths"]
    assert api["livenessProbe"]["httpGet"]["path"] == api["startupProbe"]["httpGet"]["path"] == "/healthz"
    # Not /readyz: without Redis it fails in all pods at once, and each of them still answers questions.
    assert api["readinessProbe"]["httpGet"]["path"] == "/healthz"
    assert {"/healthz", "/readyz"} <= set(routes)
    python, option, module, file = worker["livenessProbe"]["exec"]["command"]
    assert (python, option) == ("python", "-m")
    assert f"WORKER_ALIVE_FILE={file}" in (ROOT / "Dockerfile.worker").read_text(encoding="utf-8")
    assert find_spec(module) is not None


def test_pods_have_time_to_end_in_order(rendering: Rendering) -> None:
    api, worker = rendering.workload("lectern-api"), rendering.workload("lectern-worker")
    command = (ROOT / "Dockerfile.api").read_text(encoding="utf-8")
    drain = re.search(r'"--timeout-graceful-shutdown", "(\d+)"', command)
    assert drain is not None
    before = api.container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert api.pod["terminationGracePeriodSeconds"] >= before + int(drain[1]) + 5
    soft = make_celery(load_settings(None)).conf.worker_soft_shutdown_timeout
    assert worker.pod["terminationGracePeriodSeconds"] >= soft + 20


def test_the_api_is_updated_without_a_gap_and_workers_never_overlap(rendering: Rendering) -> None:
    api, worker = rendering.workload("lectern-api"), rendering.workload("lectern-worker")
    assert api.spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    assert worker.spec["strategy"] == {"type": "Recreate"}


def test_every_image_has_a_version(rendering: Rendering) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
    for image in (container["image"] for workload in rendering.workloads for container in workload.containers):
        path, _, tag = image.rpartition(":")
        name = path.rpartition("/")[2]
        assert path
        assert tag not in ("", "latest")
        if name in OURS:
            assert tag == version
        if name in STORES:
            assert image == compose[name]["image"]


def test_api_and_workers_read_the_same_content_and_cannot_change_it(rendering: Rendering) -> None:
    pods = [rendering.workload(name) for name in ("lectern-api", "lectern-worker")]
    root = rendering.of("ConfigMap")[0]["data"]["CONTENT_ROOT"]
    for workload in pods:
        (mount,) = (mount for mount in workload.container["volumeMounts"] if mount["name"] == "content")
        assert mount == {"name": "content", "mountPath": root, "readOnly": True}
    assert source_of_content(pods[0]) == source_of_content(pods[1])


def source_of_content(workload: Workload) -> str:
    (volume,) = (volume for volume in workload.pod["volumes"] if volume["name"] == "content")
    if "persistentVolumeClaim" in volume:
        assert volume["persistentVolumeClaim"]["readOnly"]
        return str(volume["persistentVolumeClaim"]["claimName"])
    (first,) = workload.pod["initContainers"]
    assert first["volumeMounts"] == [{"name": "content", "mountPath": first["command"][-1].rstrip("/")}]
    return str(first["image"])
