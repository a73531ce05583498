"""Imports of emotalk_core point downward only (docs/architecture.md)."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "emotalk_core"
LEVELS = [
    {"errors"},
    {"types", "registry", "code_version", "weights"},
    {"config"},
    {"media", "geometry"},
    {"gaussians", "speech"},
    {"actor"},
    {"perception"},
    {"emotion", "losses"},
    {"avatar"},
    {"serving", "training", "evaluation"},
    {"doctor"},
    {"cli"},
    {"__main__", "__init__"},
]
LEVEL = {room: level for level, rooms in enumerate(LEVELS) for room in rooms}
MODULES = sorted(PACKAGE.rglob("*.py"))


def room(module: Path) -> str:
    return module.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_rooms(module: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = (
                [f"{node.module}.{alias.name}" for alias in node.names]
                if node.module == "emotalk_core"
                else [node.module]
            )
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = node.value
            names = [text.split(":")[0]] if ":" in text and " " not in text else []
        found |= {n.split(".")[1] for n in names if n.startswith("emotalk_core.")}
    return found


def test_every_room_has_a_level() -> None:
    assert {room(m) for m in MODULES} <= set(LEVEL)


@pytest.mark.parametrize("module", MODULES, ids=lambda m: str(m.relative_to(PACKAGE)))
def test_imports_point_downward(module: Path) -> None:
    own = room(module)
    for other in imported_rooms(module):
        assert other == own or LEVEL[other] < LEVEL[own], f"{own} imports {other}"


def test_training_never_imports_evaluation() -> None:
    training = [m for m in MODULES if room(m) in {"training", "losses", "avatar"}]
    assert all("evaluation" not in imported_rooms(m) for m in training)


def test_only_workflow_scripts_know_the_engine() -> None:
    for module in MODULES:
        tree = ast.parse(module.read_text(encoding="utf-8"))
        names = {
            alias.name.split(".")[0]
            for node in ast.walk(tree)
            if isinstance(node, ast.Import)
            for alias in node.names
        } | {
            (node.module or "").split(".")[0]
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom)
        }
        assert "snakemake" not in names, module
