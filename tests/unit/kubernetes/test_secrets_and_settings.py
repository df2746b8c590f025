"""What pods are told: secrets by reference only, and settings that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from shared.settings import Settings, load_settings, variables_of
from tests.unit.kubernetes.rendering import OURS, SECRET, STORES, Document, Rendering, example_secret

VARIABLES = {variable for field in Settings.model_fields for variable in variables_of(field)}
SECRET_VARIABLES = {
    variable
    for field, info in Settings.model_fields.items()
    if "SecretStr" in str(info.annotation)
    for variable in variables_of(field)
}
#: What is set in pods and is no setting of Lectern's.
NOT_SETTINGS = {"SECRETS_DIR", "FLOWER_DB"}
#: Of the stores' own.
FOREIGN = re.compile(r"QDRANT_INIT_FILE_PATH|QDRANT__\w+")


def secret_keys(pod: Document) -> set[str]:
    """The keys of the Secret that a pod refers to, in volumes and variables."""
    sources = [
        volume["secret"] | {"name": volume["secret"]["secretName"]} for volume in pod["volumes"] if "secret" in volume
    ]
    for volume in pod["volumes"]:
        sources += [source["secret"] for source in volume.get("projected", {}).get("sources", [])]
    assert {source["name"] for source in sources} <= {SECRET}
    keys = {item["key"] for source in sources for item in source["items"]}
    for variable in (variable for container in pod["containers"] for variable in container.get("env", [])):
        if "valueFrom" in variable:
            assert variable["valueFrom"]["secretKeyRef"]["name"] == SECRET
            keys.add(variable["valueFrom"]["secretKeyRef"]["key"])
    return keys


def test_no_manifest_holds_a_secret(rendering: Rendering) -> None:
    assert rendering.of("Secret") == []
    plain = [name for config in rendering.of("ConfigMap") for name in config["data"]]
    for workload in rendering.workloads:
        plain += [v["name"] for c in workload.containers for v in c.get("env", []) if "value" in v]
    assert {"REDIS_URL", "API_KEYS", "FLOWER_BASIC_AUTH", "QDRANT_API_KEY"} <= SECRET_VARIABLES
    assert SECRET_VARIABLES & set(plain) == set()
    assert [name for name in plain if re.search(r"KEY|PASSWORD|TOKEN|AUTH", name)] == []


def test_every_key_that_a_pod_refers_to_is_in_the_example_of_the_secret(rendering: Rendering) -> None:
    used = {workload.name: secret_keys(workload.pod) for workload in rendering.workloads}
    assert used["lectern-flower"] == {"REDIS_URL", "FLOWER_BASIC_AUTH"}
    assert "ADMIN_API_KEY" not in used["lectern-worker"]
    assert set().union(*used.values()) <= set(example_secret())
    assert set().union(*(used[name] for name in OURS)) <= SECRET_VARIABLES


def test_the_example_of_the_secret_holds_none() -> None:
    assert [name for name, value in example_secret().items() if "CHANGE" not in value] == []


def test_lectern_reads_the_secret_as_a_cluster_mounts_it(
    full: Rendering, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Links into a folder that is exchanged as a whole when the Secret changes.
    (tmp_path / "..2026_01_01").mkdir()
    (tmp_path / "..data").symlink_to("..2026_01_01")
    keys = secret_keys(full.workload("lectern-api").pod)
    for key in keys:
        (tmp_path / "..2026_01_01" / key).write_text(example_secret()[key], encoding="utf-8")
        (tmp_path / key).symlink_to(f"..data/{key}")
        monkeypatch.delenv(key, raising=False)
    monkeypatch.setenv("SECRETS_DIR", str(tmp_path))
    settings = load_settings(None)
    assert settings.redis_address.password == "CHANGE"
    keys_of_one = (settings.admin_api_key, settings.qdrant_api_key, settings.openai_api_key, settings.gemini_api_key)
    for secret in (*keys_of_one, settings.webhook_secret):
        assert secret is not None
        assert "CHANGE" in secret.get_secret_value()
    assert len(settings.api_keys) == 2
    assert len(keys) == 7


def test_every_variable_is_a_setting(rendering: Rendering) -> None:
    named = {name for config in rendering.of("ConfigMap") for name in config["data"]}
    for workload in rendering.workloads:
        for variable in (variable for c in workload.containers for variable in c.get("env", [])):
            if workload.name not in STORES or not FOREIGN.fullmatch(variable["name"]):
                named.add(variable["name"])
    assert named - NOT_SETTINGS <= VARIABLES
    assert {"CONTENT_ROOT", "QDRANT_URL"} <= named


def test_the_settings_are_accepted_and_reach_all_of_lecterns_pods(
    rendering: Rendering, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (config,) = rendering.of("ConfigMap")
    for name in OURS:
        (source,) = rendering.workload(name).container["envFrom"]
        assert source["configMapRef"]["name"] == config["metadata"]["name"]
    for name, value in config["data"].items():
        monkeypatch.setenv(name, str(tmp_path) if name == "SECRETS_DIR" else value)
    assert load_settings(None).ingest_on_start


def test_no_service_sets_a_variable_of_a_pod(rendering: Rendering) -> None:
    assert {workload.name: workload.pod.get("enableServiceLinks") for workload in rendering.workloads} == {
        workload.name: False for workload in rendering.workloads
    }
