"""The image and the compose file say nothing that the program or the repository does not have."""

from __future__ import annotations

import asyncio
import fnmatch
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from pydantic import ValidationError

from service import cli
from service.app import create_app
from service.arguments import make_parser
from service.journal.redis import RedisJournal
from service.settings import Settings
from tests import valkey
from tests.prometheus.tools import tool

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
PORT = Settings.model_fields["port"].default
ROLES = ("api", "worker")
IGNORED = (ROOT / ".dockerignore").read_text("utf-8").splitlines()


def instructions(text: str) -> Iterator[tuple[str, str]]:
    """Yield the instructions of a Dockerfile and what they say, with lines joined."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        word, _, rest = line.strip().partition(" ")
        assert word.isupper(), line
        yield word, re.sub(r"\s+", " ", rest.strip())


DOCKERFILE = list(instructions((ROOT / "Dockerfile").read_text("utf-8")))
LAST = max(i for i, (word, _) in enumerate(DOCKERFILE) if word == "FROM")


def said(word: str, after: int = LAST) -> list[str]:
    """What the instructions of one kind say, in the image that is kept."""
    return [rest for each, rest in DOCKERFILE[after:] if each == word]


def variables() -> dict[str, str]:
    return dict(pair.split("=", 1) for rest in said("ENV") for pair in shlex.split(rest))


def runs(command: list[str]) -> Any:
    """Let the program's own parser read a command."""
    assert command[0] == "synaptide"
    return make_parser().parse_args(command[1:])


def test_a_dockerfile_is_read_line_by_line() -> None:
    text = '# a\nFROM x AS y\n\nRUN a \\\n    && b\nENV A=1 \\\n  # why\n  B=2\nCMD ["c"]\n'
    with pytest.raises(AssertionError):
        list(instructions("run a\n"))
    assert list(instructions(text.replace("  # why\n", "")))[1:] == [
        ("RUN", "a && b"),
        ("ENV", "A=1 B=2"),
        ("CMD", '["c"]'),
    ]


def test_images_are_named_with_a_version() -> None:
    named = [rest.split()[0] for word, rest in DOCKERFILE if word == "FROM"]
    named += [each["image"] for each in SERVICES.values() if "build" not in each]
    assert len(named) == 5
    for image in named:
        assert re.search(r":v?\d", image), image
    version = re.search(r"python:3\.(\d+)", named[0])
    assert version
    assert f"Python :: 3.{version[1]}" in (ROOT / "pyproject.toml").read_text("utf-8")


def test_what_is_copied_is_there_and_is_all_that_the_build_needs() -> None:
    copied = [
        source
        for word, rest in DOCKERFILE
        if word == "COPY" and "--from" not in rest
        for source in rest.split()[:-1]
    ]
    kept = [line[1:] for line in IGNORED if line.startswith("!")]
    assert IGNORED[:2][1] == "*"
    assert sorted(copied) == sorted(kept)
    for source in copied:
        assert (ROOT / source).exists(), source
        assert not any(
            fnmatch.fnmatch(source, line) for line in IGNORED[2:] if line[:1] not in "!#"
        )
    project = (ROOT / "pyproject.toml").read_text("utf-8")
    packages = re.search(r"^packages = (\[.*\])", project, re.MULTILINE)
    assert packages
    assert set(json.loads(packages[1])) < set(copied)
    assert 'readme = "README.md"' in project
    assert 'license-files = ["LICENSE"]' in project


def test_stages_copy_from_stages_that_are_there() -> None:
    stages = {
        rest.split(" AS ")[1] for word, rest in DOCKERFILE if word == "FROM" and " AS " in rest
    }
    for rest in said("COPY"):
        found = re.match(r"--from=(\w+) ", rest)
        assert found
        assert found[1] in stages


def test_the_image_runs_commands_that_exist() -> None:
    (entrypoint,), (command,) = said("ENTRYPOINT"), said("CMD")
    assert runs(json.loads(entrypoint) + json.loads(command)).command == "serve"
    warm = [shlex.split(rest) for rest in said("RUN") if rest.startswith("synaptide")]
    assert [runs(each).command for each in warm] == ["warm"]


def test_the_image_is_warmed_by_its_user_before_volumes_begin_with_what_it_has() -> None:
    order = [
        (word, rest) for word, rest in DOCKERFILE[LAST:] if word in ("USER", "RUN", "VOLUME", "ENV")
    ]
    words = [word if word != "RUN" else rest.split()[0] for word, rest in order]
    assert words == ["useradd", "ENV", "USER", "synaptide", "VOLUME"]
    (user,) = said("USER")
    assert user not in ("root", "0")
    assert f" {user} " in f" {said('RUN')[0]} "
    (volumes,) = said("VOLUME")
    places = {variables()["NUMBA_CACHE_DIR"], variables()["SYNAPTIDE_DATA_DIR"]}
    assert set(json.loads(volumes)) == places
    for place in places:
        assert place in said("RUN")[0]


def test_the_image_refuses_to_be_reached_until_it_is_told_to(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    own = {name: value for name, value in variables().items() if name.startswith("SYNAPTIDE_")}
    for name, value in own.items():
        assert name.removeprefix("SYNAPTIDE_").lower() in Settings.model_fields
        monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError, match="no authentication"):
        Settings()
    assert cli.main(["serve"]) == 2
    assert "--insecure" in capsys.readouterr().err
    monkeypatch.setenv("SYNAPTIDE_INSECURE", "true")
    chosen = Settings()
    assert (chosen.host, chosen.port, chosen.data_dir) == ("0.0.0.0", PORT, Path("/data"))
    assert said("EXPOSE") == [str(PORT)]


@pytest.mark.parametrize("role", ROLES)
def test_compose_runs_each_role_with_settings_that_exist(
    role: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = runs(["synaptide", *SERVICES[role]["command"]])
    assert (command.command, command.role) == ("serve", role)
    added = SERVICES[role]["environment"]
    for name, value in (variables() | added).items():
        monkeypatch.setenv(name, value)
    chosen = Settings(role=command.role)
    assert chosen.redis is not None
    address = urlsplit(chosen.redis.get_secret_value())
    assert (address.scheme, address.hostname) == ("redis", "valkey")
    assert added.keys() == {"SYNAPTIDE_REDIS", "SYNAPTIDE_INSECURE"}


def test_the_service_starts_on_the_server_of_compose_and_on_that_of_the_cluster(
    tmp_path: Path,
) -> None:
    manifest = ROOT / "deploy" / "kubernetes" / "base" / "valkey.yaml"
    _, pods = yaml.safe_load_all(manifest.read_text("utf-8"))
    (there,) = pods["spec"]["template"]["spec"]["containers"]
    program, *here = SERVICES["valkey"]["command"]
    assert program == "valkey-server"
    for number, options in enumerate((here, there["args"])):
        with valkey.running(tmp_path / str(number), *options) as server:
            asyncio.run(opened(server.url))
            assert server.ask("CONFIG", "GET", "maxmemory")[1] != b"0"


async def opened(url: str) -> None:
    """Start and stop a journal on a server."""
    journal = RedisJournal(url)
    await journal.open()
    await journal.close()


def checks() -> list[list[str]]:
    """The commands that say whether the service is well: the image's, and that of compose."""
    (image,) = said("HEALTHCHECK")
    flags, _, command = image.partition("CMD ")
    assert re.fullmatch(r"(--(interval|timeout|start-period|retries)=\w+ )+", flags)
    compose = SERVICES["api"]["healthcheck"]["test"]
    assert compose[0] == "CMD"
    return [json.loads(command), compose[1:]]


def test_health_is_asked_of_routes_that_exist(server: str) -> None:
    for command, route in zip(checks(), ("livez", "readyz"), strict=True):
        program, flag, code = command
        assert (program, flag) == ("python", "-c")
        asked = f"http://127.0.0.1:{PORT}/{route}"
        assert asked in code
        for address, code_wanted in ((server, 0), ("http://127.0.0.1:1", 1)):
            here = code.replace(f"http://127.0.0.1:{PORT}", address)
            done = subprocess.run([sys.executable, "-c", here], capture_output=True, timeout=60)
            assert done.returncode == code_wanted, done.stderr


# Compose


def test_every_port_is_published_on_the_loopback_address_only() -> None:
    for name, each in SERVICES.items():
        for port in each.get("ports", ()):
            address, outside, inside = port.split(":")
            assert (address, outside) == ("127.0.0.1", inside), name
    assert SERVICES["api"]["ports"] == [f"127.0.0.1:{PORT}:{PORT}"]
    assert "ports" not in SERVICES["valkey"]


def test_every_service_is_hardened_and_watched() -> None:
    for name, each in SERVICES.items():
        assert each["read_only"] is True, name
        assert each["cap_drop"] == ["ALL"], name
        assert each["security_opt"] == ["no-new-privileges:true"], name
        assert "/tmp" in each["tmpfs"], name
        assert each["healthcheck"]["test"][0] == "CMD", name
        assert "privileged" not in each
        # The image of the server gives up root by itself only where it may; so it never has it.
        assert each.get("user") == ("valkey" if name == "valkey" else None)


def mounts(name: str) -> dict[str, str]:
    """Where each source of a service is mounted."""
    return dict(each.split(":")[:2] for each in SERVICES[name].get("volumes", ()))


def test_volumes_and_files_are_there() -> None:
    used = set()
    for name in SERVICES:
        for source in mounts(name):
            if source.startswith("."):
                assert (ROOT / source).exists(), source
            else:
                used.add(source)
    assert used == COMPOSE["volumes"].keys()
    for role in ROLES:
        kept = set(mounts(role).values())
        given_up = {each.split(":")[0] for each in SERVICES[role]["tmpfs"]} - {"/tmp"}
        assert kept | given_up == set(json.loads(said("VOLUME")[0])), role
    for name in ("prometheus", "grafana"):
        for each in SERVICES[name]["volumes"]:
            assert not each.startswith(".") or each.endswith(":ro"), each


def inside(name: str, path: str) -> Path:
    """Return the file of this repository that lies at a path inside a service."""
    for source, target in mounts(name).items():
        if source.startswith(".") and (path == target or path.startswith(f"{target}/")):
            return ROOT / source / path.removeprefix(target).lstrip("/")
    raise AssertionError(f"{name}: nothing is mounted at {path}")


def test_prometheus_finds_its_files_and_the_service() -> None:
    flags = dict(
        flag.removeprefix("--").split("=", 1) for flag in SERVICES["prometheus"]["command"]
    )
    path = flags["config.file"]
    configuration = yaml.safe_load(inside("prometheus", path).read_text("utf-8"))
    for pattern in configuration["rule_files"]:
        folder = inside("prometheus", str(Path(path).parent / Path(pattern).parent))
        assert list(folder.glob(Path(pattern).name))
    assert flags["storage.tsdb.path"] in mounts("prometheus").values()
    (job,) = configuration["scrape_configs"]
    (asked,) = job["dns_sd_configs"]
    assert asked["names"] == list(ROLES)
    assert asked["port"] == PORT
    assert job["job_name"] == "synaptide"


def test_prometheus_knows_its_flags() -> None:
    done = subprocess.run([tool("prometheus"), "--help"], capture_output=True, timeout=60)
    known = set(re.findall(r"--([\w.-]+)", (done.stdout + done.stderr).decode()))
    for flag in SERVICES["prometheus"]["command"]:
        assert flag.removeprefix("--").split("=")[0] in known, flag


def test_grafana_finds_boards_and_prometheus() -> None:
    folder = inside("grafana", "/etc/grafana/provisioning")
    (provider,) = yaml.safe_load((folder / "dashboards" / "synaptide.yaml").read_text("utf-8"))[
        "providers"
    ]
    boards = inside("grafana", provider["options"]["path"])
    assert len(list(boards.glob("*.json"))) == 3
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert inside("grafana", home).is_file()
    (source,) = yaml.safe_load((folder / "datasources" / "prometheus.yaml").read_text("utf-8"))[
        "datasources"
    ]
    address = urlsplit(source["url"])
    assert address.hostname in SERVICES
    assert f":{address.port}" in SERVICES[address.hostname]["ports"][0]


# What the page says


def test_the_page_names_what_exists() -> None:
    page = (ROOT / "docs" / "deploy.md").read_text("utf-8")
    commands = re.findall(r"^(?:/\S+/)?(synaptide .*)$", page, re.MULTILINE)
    assert [runs(shlex.split(each)).command for each in commands] == ["warm", "serve"]
    assert set(re.findall(r"--scale (\w+)=", page)) <= SERVICES.keys()
    routes = set(create_app(Settings(data_dir=Path("unused"))).openapi()["paths"])
    named = re.findall(r"`(?:GET|POST|PUT) (/v1/[^`?]*)", page) + re.findall(r"`(/\w+z)`", page)
    assert len(named) > 3
    assert {each.replace("NAME", "{stream}") for each in named} <= routes
    for path in re.findall(r"`((?:deploy|docs)/[\w./-]+)", page):
        assert (ROOT / path).exists(), path
    assert all(place in page for place in json.loads(said("VOLUME")[0]))
