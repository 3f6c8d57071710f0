"""Packages that add to SliceDB, found by their entry points."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from slicedb.plugins import PluginWarning, Registry


@dataclass(frozen=True)
class Part:
    name: str


PARTS = [Part("own"), Part("second")]


def install(folder: Path, package: str, group: str, entries: dict[str, str], code: str) -> None:
    """Write a package as pip lays it out: the module, and its metadata with entry points."""
    (folder / f"{package}.py").write_text(code)
    info = folder / f"{package}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    lines = [f"{name} = {target}" for name, target in entries.items()]
    (info / "entry_points.txt").write_text("\n".join([f"[{group}]", *lines]) + "\n")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder that Python takes for one of installed packages."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.setattr(sys, "path", [*sys.path, str(folder)])
    return folder


def registry(group: str = "slicedb.tests") -> Registry[Part]:
    return Registry(
        group,
        [f"{__name__}:PARTS"],
        check=lambda part: "" if len(part.name) < 9 else f"'{part.name}' is too long.",
    )


CODE = "from {here} import Part\nONE = Part('{name}')\nMANY = [Part('a'), Part('b')]\nNOT = 3\n"


def test_an_installed_package_adds_members(site: Path) -> None:
    code = CODE.format(here=__name__, name="new")
    install(site, "adds", "slicedb.tests", {"x": "adds:ONE", "y": "adds:MANY"}, code)
    parts = registry()
    assert list(parts) == ["own", "second", "new", "a", "b"]
    assert parts["new"] == Part("new") and "b" in parts and "c" not in parts and len(parts) == 5
    with pytest.raises(KeyError):
        parts["c"]


def test_built_in_members_need_no_look_at_the_packages(site: Path) -> None:
    install(site, "breaks", "slicedb.tests", {"x": "breaks:ONE"}, "raise RuntimeError('boom')")
    assert registry()["own"] == Part("own")


@pytest.mark.parametrize(
    ("target", "name", "problem"),
    [
        ("taken:ONE", "own", "The name 'own' is taken"),
        ("taken:NOT", "z", "3 has no name"),
        ("taken:NONE", "z", "has no attribute 'NONE'"),
        ("taken:ONE", "much_too_long", "'much_too_long' is too long"),
    ],
)
def test_a_plug_in_that_does_not_fit_is_left_out_by_name(
    site: Path, target: str, name: str, problem: str
) -> None:
    sys.modules.pop("taken", None)
    install(site, "taken", "slicedb.tests", {"x": target}, CODE.format(here=__name__, name=name))
    parts = registry()
    with pytest.warns(PluginWarning, match=f"'x' of the package 'taken'.*{problem}"):
        assert list(parts) == ["own", "second"]
