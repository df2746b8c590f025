"""Traefik's files as texts, as no package has Traefik: they forward what the API has, and agree with each other."""

from __future__ import annotations

import re
from typing import Any

import yaml

from tests.proxy.answers import INSIDE, paths_of_the_api
from tests.proxy.servers import DEPLOY

FILES = DEPLOY / "traefik"
LABEL = re.compile(r"traefik\.http\.(routers|middlewares)\.([\w-]+)\.(.+)")


def loaded(name: str) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((FILES / name).read_text())
    return document


def matches(rule: str, path: str) -> bool:
    exact, prefixes = re.findall(r"[^!]Path\(`([^`]+)`\)", rule), re.findall(r"PathPrefix\(`([^`]+)`\)", rule)
    excepted = re.findall(r"!Path\(`([^`]+)`\)", rule)
    return path not in excepted and (path in exact or path.startswith(tuple(prefixes)))


def test_each_route_of_the_api_is_forwarded_or_kept_inside() -> None:
    rules = [router["rule"] for router in loaded("lectern.yml")["http"]["routers"].values()]
    forwarded = {path for path in paths_of_the_api() if any(matches(rule, path) for rule in rules)}
    assert paths_of_the_api() - forwarded == INSIDE


def test_a_path_belongs_to_one_router() -> None:
    routers = loaded("lectern.yml")["http"]["routers"]
    for path in paths_of_the_api() - INSIDE:
        assert [matches(router["rule"], path) for router in routers.values()].count(True) == 1, path


def test_what_is_named_exists() -> None:
    http = loaded("lectern.yml")["http"]
    entry_points = set(loaded("traefik.yml")["entryPoints"])
    for router in http["routers"].values():
        assert set(router["entryPoints"]) <= entry_points
        assert set(router["middlewares"]) <= set(http["middlewares"])
        assert router["service"] in http["services"]
    assert {service["loadBalancer"]["serversTransport"] for service in http["services"].values()} == set(
        http["serversTransports"]
    )


def test_the_labels_say_what_the_file_says() -> None:
    http = loaded("lectern.yml")["http"]
    labels = loaded("compose.yml")["services"]["api"]["labels"]
    routers: dict[str, dict[str, str]] = {}
    for label, value in labels.items():
        found = LABEL.fullmatch(label)
        if found and found[1] == "routers":
            routers.setdefault(found[2], {})[found[3]] = value
    assert routers == {
        name: {
            "rule": router["rule"],
            "entrypoints": ",".join(router["entryPoints"]),
            "middlewares": ",".join(router["middlewares"]),
            "service": router["service"],
        }
        for name, router in http["routers"].items()
    }
    assert {found[2] for found in map(LABEL.fullmatch, labels) if found and found[1] == "middlewares"} == set(
        http["middlewares"]
    )
