"""Laws of the house: arrows point down, the center is pure, and nothing goes undocumented."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections import defaultdict
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from service import errors
from service.catalog import INDICATORS, LEARNERS
from service.formats import FORMAT, RAISED
from service.settings import Settings

ROOT = Path(__file__).parents[1]
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for package in ("learners", "service", "benchmarks")
    for path in sorted((ROOT / package).rglob("*.py"))
}


def imports(name: str, anywhere: bool) -> set[str]:
    """The modules a module imports: when it is loaded, or anywhere in it."""
    tree = ast.parse(MODULES[name].read_text("utf-8"))
    found: set[str] = set()
    for node in ast.walk(tree) if anywhere else tree.body:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(inner if inner in MODULES else node.module)
    return found


def test_no_module_imports_one_that_imports_it() -> None:
    graph = defaultdict(set)
    for name in MODULES:
        graph[name] = {other for other in imports(name, anywhere=False) if other in MODULES}
    assert len(list(TopologicalSorter(graph).static_order())) >= len(MODULES)


@pytest.mark.parametrize(
    ("package", "allowed"),
    [
        ("learners.kernels", {"learners.kernels", "numpy", "numba", "llvmlite"}),
        ("learners", {"learners", "numpy", "river"}),
        (
            "service.journal",
            {
                *("service.journal", "service.errors", "service.formats", "service.schemas"),
                "service.tasks",
            },
        ),
    ],
)
def test_a_package_knows_only_what_lies_below_it(package: str, allowed: set[str]) -> None:
    own = [name for name in MODULES if f"{name}.".startswith(f"{package}.")]
    assert own
    standard = {"asyncio", "logging", "threading", "time", "socket"}
    for name in own:
        if package == "learners" and name.startswith("learners.kernels"):
            continue
        for other in imports(name, anywhere=True):
            ours = other.startswith(("learners", "service", "benchmarks"))
            if ours:
                assert any(f"{other}.".startswith(f"{each}.") for each in allowed), (name, other)
            elif package.startswith("learners"):
                top = other.partition(".")[0]
                assert top in allowed | sys.stdlib_module_names, (name, other)
                assert top not in standard, (name, other)


@pytest.mark.parametrize("name", ["service.stream", "service.catalog", "service.container"])
def test_a_stream_has_no_clock_and_does_nothing_but_compute(name: str) -> None:
    forbidden = {"asyncio", "time", "socket", "threading", "structlog", "sqlite3", "fastapi"}
    assert not imports(name, anywhere=True) & forbidden


def documented(page: str) -> set[str]:
    """The first cell of each row of the tables of a page, without its quotes."""
    rows = (ROOT / page).read_text("utf-8").splitlines()
    return {row.split("|")[1].strip().strip("`") for row in rows if row.startswith("| `")}


def test_every_setting_is_documented() -> None:
    assert documented("docs/settings.md") == {
        f"SYNAPTIDE_{name.upper()}" for name in Settings.model_fields
    }


def codes(cls: type[errors.SynaptideError]) -> set[str]:
    return {cls.code}.union(*(codes(each) for each in cls.__subclasses__()))


def test_every_problem_is_documented() -> None:
    # What a command or a worker says to itself never reaches a client.
    inward = {"fenced", "stale", "phantom", "bad-settings", "demo-failed", "not-still"}
    outward = codes(errors.SynaptideError) - inward
    by_the_framework = {"not-found", "method-not-allowed", "refused"}
    assert documented("docs/problems.md") == outward | by_the_framework


def test_every_kind_is_in_the_readme() -> None:
    assert documented("README.md") >= LEARNERS.keys() | INDICATORS.keys()


def test_a_state_schema_rises_with_the_format_alone() -> None:
    """Builds tell by the format what they can read of each other, and by nothing else."""
    # Raise both, name the kinds in RAISED, and give them `from_previous` and `to_previous`.
    schemas = {kind: cls.state_schema for kind, cls in [*LEARNERS.items(), *INDICATORS.items()]}
    unlike_one = {kind: schema for kind, schema in schemas.items() if schema != 1}
    assert (FORMAT, unlike_one) == (3, {"sequence_memory": 3})
    assert schemas.keys() >= RAISED


def test_digests_do_not_depend_on_how_many_processors_there_are() -> None:
    code = "import service, os; print(os.environ['OPENBLAS_NUM_THREADS'])"
    free = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    said = [
        subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True).stdout
        for env in (free, free | {"OPENBLAS_NUM_THREADS": "4"})
    ]
    assert said == ["1\n", "4\n"]
