"""The next build, made of this one: its formats are one further, and really different.

In its snapshots the learner's arrays and a field of the header have other names, `rolling_zscore`
has another state schema, and what commits tell begins with another number.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from service.formats import FORMAT
from tests.acceptance.fleet import ROOT

NEWER = FORMAT + 1

STEPS = f"""

def _up(header: dict[str, Any], arrays: dict[str, Any]) -> Document:
    schemas = {{_swapped(owner): schema for owner, schema in header.pop("schemas").items()}}
    changed = {{"format": {NEWER}, "schemas": schemas, "mode": header.pop("learning")}}
    return changed | header | {{"format": {NEWER}}}, _renamed(arrays)


def _down(header: dict[str, Any], arrays: dict[str, Any]) -> Document:
    schemas = {{_swapped(owner): schema for owner, schema in header.pop("schemas").items()}}
    changed = {{"format": {FORMAT}, "schemas": schemas, "learning": header.pop("mode")}}
    return changed | header | {{"format": {FORMAT}, "schemas": schemas}}, _renamed(arrays)


def _swapped(owner: str) -> str:
    return {{"learner": "model", "model": "learner"}}.get(owner, owner)


def _renamed(arrays: dict[str, Any]) -> dict[str, Any]:
    parts = ((name.partition("/"), array) for name, array in arrays.items())
    return {{f"{{_swapped(owner)}}/{{rest}}": array for (owner, _, rest), array in parts}}


UPGRADES = {{{FORMAT}: _up}}
DOWNGRADES = {{{NEWER}: _down}}
"""
SCHEMA = """

def _from_previous(self: Any, arrays: Arrays) -> Arrays:
    return {f"{name}_2": array for name, array in arrays.items()}


def _to_previous(self: Any, arrays: Arrays) -> Arrays:
    return {name.removesuffix("_2"): array for name, array in arrays.items()}


_get, _set = RollingZScore.get_state, RollingZScore.set_state
RollingZScore.state_schema = 2
RollingZScore.from_previous = _from_previous
RollingZScore.to_previous = _to_previous
RollingZScore.get_state = lambda self: _from_previous(self, _get(self))
RollingZScore.set_state = lambda self, arrays: _set(self, _to_previous(self, arrays))
"""


def newer_build(folder: Path) -> Path:
    """Make the next build in a folder; return where it is to be started."""
    for package in ("learners", "service"):
        shutil.copytree(ROOT / package, folder / package)  # Compiled kernels go with it.
    service = folder / "service"
    _change(service / "formats.py", (f"FORMAT = {FORMAT}\n", f"FORMAT = {NEWER}\n"))
    _change(service / "formats.py", ("= frozenset()", '= frozenset({"rolling_zscore"})'))
    _add(service / "formats.py", STEPS)
    _change(
        service / "snapshots.py",
        ('yield "learner", ', 'yield "model", '),
        ('"learning": stream.learning', '"mode": stream.learning'),
        ('stream.learning = header["learning"]', 'stream.learning = header["mode"]'),
        ('if header["learning"]', 'if header["mode"]'),
        ("got {header['learning']!r}", "got {header['mode']!r}"),
    )
    _add(folder / "learners" / "rolling_zscore.py", SCHEMA)
    return folder


def _change(path: Path, *changes: tuple[str, str]) -> None:
    text = path.read_text("utf-8")
    for old, new in changes:
        assert text.count(old) == 1, (path, old)
        text = text.replace(old, new)
    path.write_text(text, "utf-8")


def _add(path: Path, text: str) -> None:
    path.write_text(path.read_text("utf-8") + text, "utf-8")
