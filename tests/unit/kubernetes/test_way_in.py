"""What the Ingress, the HTTPRoute and the network policies let through."""

from __future__ import annotations

from typing import Any

from api.main import create_app
from shared.settings import load_settings
from tests.unit.kubernetes.rendering import Rendering

#: What the owner does with releases, with jobs, to measure, and to read what was asked.
OWNERS = {
    "/releases", "/releases/{number}", "/releases/{number}/activate", "/ingest", "/ingest/status", "/ingest/{job_id}",
    "/ingest/{job_id}/events", *(f"/ingest/{{job_id}}/{wish}" for wish in ("cancel", "pause", "resume", "retry")),
    "/evaluate", "/questions",
}  # fmt: skip
#: Routes for the owner and for the cluster; every other one is for visitors.
INSIDE = {"/metrics", "/docs", "/healthz", "/readyz", *OWNERS}
#: What visitors ask for and the description of the API does not list.
UNLISTED = {"/", "/api/chat", "/static"}


def published(rendering: Rendering) -> dict[str, str]:
    """Path by path, how it is compared."""
    kinds = {"Exact": "Exact", "Prefix": "Prefix", "PathPrefix": "Prefix"}
    paths = [
        (path["path"], path["pathType"])
        for ingress in rendering.of("Ingress")
        if ingress["metadata"]["name"] == "lectern"
        for path in ingress["spec"]["rules"][0]["http"]["paths"]
    ]
    for route in rendering.of("HTTPRoute"):
        matches = [match["path"] for rule in route["spec"]["rules"] for match in rule["matches"]]
        paths += [(match["value"], match["type"]) for match in matches]
    assert len(paths) == len(dict(paths))
    return {path: kinds[kind] for path, kind in paths}


def is_published(rendering: Rendering, route: str) -> bool:
    return any(
        route == path or (kind == "Prefix" and route.startswith(f"{path}/"))
        for path, kind in published(rendering).items()
    )


def test_visitors_reach_what_they_need_and_nothing_else(rendering: Rendering) -> None:
    routes = set(create_app(load_settings(None)).openapi()["paths"])
    assert {route for route in routes if is_published(rendering, route)} == routes - INSIDE
    assert not any(is_published(rendering, route) for route in INSIDE | {"/openapi.json"})
    for path in published(rendering):
        assert path in UNLISTED or any(route == path or route.startswith(f"{path}/") for route in routes), path


def test_the_gateway_publishes_what_the_ingress_does(renderings: dict[str, Rendering]) -> None:
    gateway = renderings["with-gateway"]
    assert published(gateway) == published(renderings["base"])
    assert gateway.of("Ingress") == []


def test_answers_stream_through_the_ingress(renderings: dict[str, Rendering]) -> None:
    annotations = renderings["example"].one("Ingress", "lectern")["metadata"]["annotations"]
    body = f"{load_settings(None).max_body_bytes // 1024}k"
    nginx = {name.rpartition("/")[2]: value for name, value in annotations.items() if "ingress.kubernetes" in name}
    assert nginx["proxy-buffering"] == "off"
    assert int(nginx["proxy-read-timeout"]) >= 300
    assert "non_idempotent" not in nginx["proxy-next-upstream"]
    assert nginx["proxy-body-size"] == annotations["nginx.org/client-max-body-size"] == body
    assert annotations["nginx.org/proxy-buffering"] == "false"
    assert annotations["nginx.org/proxy-read-timeout"] == f"{nginx['proxy-read-timeout']}s"


def test_the_gateway_sets_no_limit_on_the_time_of_an_answer(renderings: dict[str, Rendering]) -> None:
    rules = renderings["with-gateway"].one("HTTPRoute", "lectern")["spec"]["rules"]
    (chat,) = (
        rule for rule in rules if {"type": "Exact", "value": "/chat"} in [match["path"] for match in rule["matches"]]
    )
    assert chat["timeouts"] == {"request": "0s"}


def test_every_way_in_has_a_certificate_and_leads_to_a_service(rendering: Rendering) -> None:
    for ingress in rendering.of("Ingress"):
        (rule,), (tls,) = ingress["spec"]["rules"], ingress["spec"]["tls"]
        assert tls["hosts"] == [rule["host"]]
        assert tls["secretName"]
        for backend in (path["backend"]["service"] for path in rule["http"]["paths"]):
            ports = rendering.one("Service", backend["name"])["spec"]["ports"]
            assert backend["port"]["name"] in {port["name"] for port in ports}
    for route in rendering.of("HTTPRoute"):
        for backend in (backend for rule in route["spec"]["rules"] for backend in rule["backendRefs"]):
            ports = rendering.one("Service", backend["name"])["spec"]["ports"]
            assert backend["port"] in {port["port"] for port in ports}


def test_pods_are_closed_but_for_what_is_named(renderings: dict[str, Rendering]) -> None:
    assert reached(renderings["base"]) == {"lectern-api": {"ingress-nginx", "monitoring"}}
    assert reached(renderings["self-contained"]) == {
        "lectern-api": {"ingress-nginx", "monitoring"},
        "redis": {"lectern-api", "lectern-worker", "lectern-flower"},
        "qdrant": {"lectern-api", "lectern-worker"},
    }
    assert reached(renderings["with-flower-ingress"])["lectern-flower"] == {"ingress-nginx"}
    assert reached(renderings["with-keda"])["redis"] == {"lectern-api", "lectern-worker", "lectern-flower", "keda"}


def reached(rendering: Rendering) -> dict[str, set[str]]:
    """Workload by workload, the namespaces and pods that may reach it."""
    names: dict[str, set[str]] = {}
    policies = rendering.of("NetworkPolicy")
    (closed,) = (policy for policy in policies if policy["metadata"]["name"] == "lectern-closed")
    assert rendering.selected(closed["spec"]["podSelector"]["matchLabels"]) == rendering.workloads
    assert "ingress" not in closed["spec"]
    for policy in (policy["spec"] for policy in policies if policy is not closed):
        (target,) = rendering.selected(policy["podSelector"]["matchLabels"])
        for rule in policy["ingress"]:
            ports = {known for port in target.container["ports"] for known in (port["name"], port["containerPort"])}
            assert {port["port"] for port in rule["ports"]} <= ports
            for peer in rule["from"]:
                names.setdefault(target.name, set()).update(peers(peer))
    return names


def peers(peer: dict[str, Any]) -> set[str]:
    """The namespaces of a rule's line, or else the pods of this one."""
    selector = peer.get("namespaceSelector") or peer["podSelector"]
    if "matchLabels" in selector:
        return {selector["matchLabels"]["kubernetes.io/metadata.name"]}
    (expression,) = selector["matchExpressions"]
    assert expression["operator"] == "In"
    return set(expression["values"])
