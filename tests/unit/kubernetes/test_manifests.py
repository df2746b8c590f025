"""Every rendering is valid, and what refers to something finds it."""

from __future__ import annotations

import copy
import re
import tomllib
from pathlib import Path

import jsonschema
import pytest
import yaml

from shared.queue import KEY_PREFIX, QUEUE
from tests.unit.kubernetes.rendering import (
    ROOT,
    SECRET,
    VERSIONS,
    Rendering,
    Workload,
    copy_manifests,
    example_secret,
    render,
    validate,
    write_overlay,
)


@pytest.mark.parametrize("version", VERSIONS)
def test_every_document_is_what_the_schema_of_its_kind_allows(rendering: Rendering, version: str) -> None:
    for document in rendering.documents:
        validate(document, version)


@pytest.mark.parametrize(
    "kind",
    ["Deployment", "StatefulSet", "HorizontalPodAutoscaler", "NetworkPolicy", "ScaledObject", "TriggerAuthentication"],
)
def test_a_field_that_a_kind_does_not_have_is_refused(renderings: dict[str, Rendering], kind: str) -> None:
    document = copy.deepcopy(renderings["with-keda"].of(kind)[0])
    document["spec"]["notAField"] = True
    with pytest.raises(jsonschema.ValidationError, match="notAField"):
        validate(document, VERSIONS[-1])


def test_every_reference_leads_somewhere(rendering: Rendering) -> None:
    for workload in rendering.workloads:
        assert workload.spec["selector"]["matchLabels"].items() <= workload.labels.items()
        templates = workload.spec.get("volumeClaimTemplates", [])
        volumes = {volume["name"] for volume in workload.pod.get("volumes", []) + [t["metadata"] for t in templates]}
        mounted = {mount["name"] for container in workload.containers for mount in container["volumeMounts"]}
        assert mounted == volumes, workload.name
        claims = [
            volume["persistentVolumeClaim"] for volume in workload.pod["volumes"] if "persistentVolumeClaim" in volume
        ]
        for claim in (claim["claimName"] for claim in claims):
            # The owner brings the content's.
            assert claim == "lectern-content" or rendering.one("PersistentVolumeClaim", claim)
    assert {service["metadata"]["name"] for service in rendering.of("Service")} >= {"lectern-api", "lectern-flower"}
    for service in rendering.of("Service"):
        (target,) = rendering.selected(service["spec"]["selector"])
        ports = {port["name"] for port in target.container["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports
    for workload in (Workload(document) for document in rendering.of("StatefulSet")):
        assert rendering.one("Service", workload.spec["serviceName"])["spec"]["clusterIP"] == "None"


def test_pods_are_spread_over_nodes_and_a_node_is_emptied_pod_by_pod(rendering: Rendering) -> None:
    several = {"lectern-api", "lectern-worker"}
    for workload in (rendering.workload(name) for name in several):
        spread = workload.pod["topologySpreadConstraints"]
        assert spread[0]["topologyKey"] == "kubernetes.io/hostname"
        assert all(
            constraint["labelSelector"]["matchLabels"].items() <= workload.labels.items() for constraint in spread
        )
    budgets = [budget["spec"] for budget in rendering.of("PodDisruptionBudget")]
    held = [workload.name for budget in budgets for workload in rendering.selected(budget["selector"]["matchLabels"])]
    assert sorted(held) == sorted(several)
    assert [budget["maxUnavailable"] for budget in budgets] == [1, 1]


def test_who_is_scaled_automatically_has_no_fixed_number(rendering: Rendering) -> None:
    scaled = {document["spec"]["scaleTargetRef"]["name"] for document in rendering.of("HorizontalPodAutoscaler")}
    scaled |= {document["spec"]["scaleTargetRef"]["name"] for document in rendering.of("ScaledObject")}
    assert "lectern-api" in scaled
    for workload in rendering.workloads:
        assert ("replicas" in workload.spec) == (workload.name not in scaled), workload.name


def test_the_api_stays_up_while_one_pod_is_away(full: Rendering) -> None:
    scaler = full.one("HorizontalPodAutoscaler", "lectern-api")["spec"]
    assert 2 <= scaler["minReplicas"] < scaler["maxReplicas"]
    assert scaler["behavior"]["scaleDown"]["stabilizationWindowSeconds"] >= 300
    assert scaler["metrics"][0]["resource"]["name"] in full.workload("lectern-api").container["resources"]["requests"]


def test_workers_are_scaled_on_the_list_that_tasks_wait_in(renderings: dict[str, Rendering]) -> None:
    rendering = renderings["with-keda"]
    (trigger,) = rendering.one("ScaledObject", "lectern-worker")["spec"]["triggers"]
    assert trigger["metadata"]["listName"] == KEY_PREFIX + QUEUE
    assert trigger["metadata"]["address"] == "redis.lectern.svc.cluster.local:6379"
    assert rendering.one("Service", "redis")["metadata"]["namespace"] == "lectern"
    login = rendering.one("TriggerAuthentication", trigger["authenticationRef"]["name"])["spec"]["secretTargetRef"]
    assert {(ref["name"], ref["key"]) for ref in login} == {(SECRET, "REDIS_PASSWORD")}


def test_the_manual_names_the_keys_the_files_and_the_versions_that_there_are() -> None:
    text = (ROOT / "docs" / "kubernetes.md").read_text(encoding="utf-8")
    assert [key for key in example_secret() if key not in text] == []
    assert set(re.findall(r"--from-literal=(\w+)=", text)) <= set(example_secret())
    paths = re.findall(r"deploy/kubernetes/[\w./-]*\w", text)
    assert len(paths) > 5
    assert [path for path in paths if "overlays/site" not in path and not (ROOT / path).exists()] == []
    assert f"Kubernetes {VERSIONS[0]} or later" in text
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert set(re.findall(r"lectern-(?:api|worker|flower):([\w.]+)", text)) == {version}


def test_the_patches_in_the_manual_do_what_it_says(kubectl: Path, tmp_path: Path) -> None:
    text = (ROOT / "docs" / "kubernetes.md").read_text(encoding="utf-8")
    patches = [patch for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL) for patch in yaml.safe_load(block)]
    overlay = copy_manifests(tmp_path) / "overlays" / "as-in-the-manual"
    write_overlay(overlay, ["gateway", "keda"], patches=patches)
    rendering = render(kubectl, overlay)
    (trigger,) = rendering.one("ScaledObject", "lectern-worker")["spec"]["triggers"]
    assert trigger["type"] == "redis-sentinel"
    assert trigger["metadata"]["listName"] == KEY_PREFIX + QUEUE
    route = rendering.one("HTTPRoute", "lectern")["spec"]
    assert route["parentRefs"] == [{"name": "my-gateway", "namespace": "my-gateways"}]
