"""The manifests are valid, and say nothing that the program or the repository does not have."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from service.app import create_app
from service.arguments import make_parser
from service.settings import Settings
from tests.deploy.test_image import ROLES, variables

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "kubernetes"
PORT = Settings.model_fields["port"].default
BESIDE = {"kustomization.yaml", "rule.yaml"}
"""Files that are not for the cluster itself."""
FILES = sorted(path for path in FOLDER.rglob("*.yaml") if path.name not in BESIDE)
DOCUMENTS: list[dict[str, Any]] = [
    each for path in FILES for each in yaml.safe_load_all(path.read_text("utf-8"))
]


def of(kind: str) -> dict[str, dict[str, Any]]:
    """The documents of one kind by name."""
    return {each["metadata"]["name"]: each for each in DOCUMENTS if each["kind"] == kind}


def pod(name: str) -> dict[str, Any]:
    found: dict[str, Any] = (of("Deployment") | of("StatefulSet"))[name]["spec"]["template"]
    return found


def container(name: str) -> dict[str, Any]:
    (found,) = pod(name)["spec"]["containers"]
    return dict(found)


def labels(name: str) -> dict[str, str]:
    return dict(pod(name)["metadata"]["labels"])


@pytest.mark.parametrize("version", ["1.29.0", "1.34.0"])
def test_the_cluster_would_take_each_document(version: str) -> None:
    assert len(DOCUMENTS) == 10
    for each in DOCUMENTS:
        kubernetes_validate.validate(each, version, strict=True)
    wrong = of("Deployment")["api"] | {"spec": {"replicas": "two"}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, version, strict=True)


def test_kustomizations_name_every_file_once() -> None:
    for path in FOLDER.rglob("kustomization.yaml"):
        named = yaml.safe_load(path.read_text("utf-8"))["resources"]
        for each in named:
            assert (path.parent / each).exists(), each
        own = {file.name for file in path.parent.glob("*.yaml")} - BESIDE
        assert {each for each in named if each.endswith(".yaml")} == own


@pytest.mark.parametrize("role", ROLES)
def test_pods_run_a_command_that_exists_with_settings_that_exist(role: str) -> None:
    found = container(role)
    command = make_parser().parse_args(found["args"])
    assert (command.command, command.role) == ("serve", role)
    for each in found["env"]:
        assert each["name"].removeprefix("SYNAPTIDE_").lower() in Settings.model_fields
    (port,) = found["ports"]
    assert port["containerPort"] == PORT
    annotations = pod(role)["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == str(PORT)


@pytest.mark.parametrize("role", ROLES)
def test_probes_ask_routes_that_exist(role: str) -> None:
    routes = create_app(Settings(data_dir=Path("unused"))).openapi()["paths"]
    found = container(role)
    asked = {
        name: found[name]["httpGet"]["path"]
        for name in ("startupProbe", "readinessProbe", "livenessProbe")
    }
    assert set(asked.values()) <= set(routes)
    assert asked["livenessProbe"] == "/livez"
    assert asked["startupProbe"] == asked["readinessProbe"] == "/readyz"


@pytest.mark.parametrize("role", ROLES)
def test_what_has_to_be_written_is_a_volume(role: str) -> None:
    spec, found = pod(role)["spec"], container(role)
    mounted = {each["mountPath"]: each["name"] for each in found["volumeMounts"]}
    own = variables()
    assert mounted.keys() >= {own["NUMBA_CACHE_DIR"], own["SYNAPTIDE_DATA_DIR"], "/tmp"}
    assert set(mounted.values()) == {each["name"] for each in spec["volumes"]}
    (copy,) = spec["initContainers"]
    assert own["NUMBA_CACHE_DIR"] in copy["command"][-2]
    assert copy["volumeMounts"][0]["name"] == mounted[own["NUMBA_CACHE_DIR"]]


def test_every_container_is_hardened_and_bounded() -> None:
    for name in (*ROLES, "valkey"):
        spec = pod(name)["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True
        for each in (*spec.get("initContainers", ()), *spec["containers"]):
            context = each["securityContext"]
            assert context["readOnlyRootFilesystem"] is True
            assert context["allowPrivilegeEscalation"] is False
            assert context["capabilities"]["drop"] == ["ALL"]
        assert "memory" in container(name)["resources"]["limits"]
        assert re.search(r"^synaptide$|:v?\d", container(name)["image"])


def test_the_grace_period_outlasts_the_drain() -> None:
    for role in ROLES:
        grace = pod(role)["spec"]["terminationGracePeriodSeconds"]
        assert grace > 2 * Settings.model_fields["drain_seconds"].default


def selectors() -> Iterator[tuple[str, dict[str, str]]]:
    for each in (*of("Service").values(), *of("Deployment").values(), *of("StatefulSet").values()):
        found = each["spec"]["selector"]
        yield each["metadata"]["name"], found.get("matchLabels", found)
    for each in of("PodDisruptionBudget").values():
        yield each["metadata"]["name"], each["spec"]["selector"]["matchLabels"]


def test_selectors_find_pods() -> None:
    every = [labels(name) for name in (*ROLES, "valkey")]
    for name, selector in selectors():
        assert any(selector.items() <= each.items() for each in every), name


def test_pods_reach_the_server_by_its_name_and_policy() -> None:
    addresses = {each["value"] for role in ROLES for each in container(role)["env"][:1]}
    (address,) = addresses
    found = re.fullmatch(r"redis://([\w-]+):(\d+)", address)
    assert found
    (port,) = of("Service")[found[1]]["spec"]["ports"]
    assert str(port["port"]) == found[2]
    policy = of("NetworkPolicy")["valkey"]["spec"]
    assert policy["podSelector"]["matchLabels"].items() <= labels("valkey").items()
    (allowed,) = policy["ingress"][0]["from"][0]["podSelector"]["matchExpressions"]
    assert set(allowed["values"]) == {labels(role)["app.kubernetes.io/name"] for role in ROLES}


def test_the_autoscaler_scales_what_is_there_by_a_metric_that_is_there() -> None:
    scaler = of("HorizontalPodAutoscaler")["worker"]["spec"]
    assert scaler["scaleTargetRef"]["name"] in of("Deployment")
    (metric,) = scaler["metrics"]
    rule = yaml.safe_load((FOLDER / "autoscaling" / "rule.yaml").read_text("utf-8"))
    (external,) = rule["rules"]["external"]
    assert external["name"]["as"] == metric["external"]["metric"]["name"]
    documented = (ROOT / "docs" / "metrics.md").read_text("utf-8")
    assert f"`{external['seriesQuery']}`" in documented
    assert external["seriesQuery"] in external["metricsQuery"]
