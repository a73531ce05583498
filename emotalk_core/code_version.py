"""Fingerprints of stage code, so that Snakemake reruns exactly the stages whose code changed.

Snakemake does not notice an edit of an imported module. Each rule therefore carries
`params: code_version=code_version("perception.normals.stage")`: a hash over the syntax trees of the
module's import closure inside emotalk_core. Comments and docstrings do not count. Imports count
also when they stand inside a function or as a lazy "emotalk_core.module:Name" string of a registry;
a data file counts when a module names it by a string constant and it lies beside the module; the
C++ kernels count for whoever imports the module that loads them.
"""

from __future__ import annotations

import ast
import hashlib
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parent
PREFIX = "emotalk_core."
DATA_SUFFIXES = (".npz", ".json", ".toml", ".csv", ".safetensors", ".txt", ".cpp", ".h", ".html")


def _module_path(name: str) -> Path | None:
    base = PACKAGE / name.replace(".", "/")
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if name and path.exists():
            return path
    return None


def _strip_docstrings(tree: ast.AST) -> ast.AST:
    owners = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(tree):
        if isinstance(node, owners) and node.body:
            first = node.body[0]
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                node.body = node.body[1:] or [ast.Pass()]
    return tree


def _strings(tree: ast.AST) -> set[str]:
    return {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def _imports(tree: ast.AST) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("emotalk_core"):
            base = (node.module or "").removeprefix("emotalk_core").lstrip(".")
            names.add(base)
            names.update(f"{base}.{a.name}".lstrip(".") for a in node.names)
        elif isinstance(node, ast.Import):
            names.update(
                a.name.removeprefix(PREFIX) for a in node.names if a.name.startswith(PREFIX)
            )
    for text in _strings(tree):
        if text.startswith(PREFIX) and ":" in text and " " not in text:
            names.add(text.removeprefix(PREFIX).split(":")[0])
    return {name for name in names if _module_path(name)}


def _data_files(tree: ast.AST, folder: Path) -> list[Path]:
    """Data files beside a module that the module names by a string constant."""
    names = sorted(s for s in _strings(tree) if s.endswith(DATA_SUFFIXES) and len(s) < 200)
    return [folder / n for n in names if not n.startswith(("/", ".")) and (folder / n).is_file()]


@cache
def _module_digest(name: str) -> tuple[str, frozenset[str]]:
    """Hash of one module with its data files, and the names it imports."""
    path = _module_path(name)
    assert path is not None, name
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imports = _imports(tree)
    digest = hashlib.sha256()
    for data in _data_files(tree, path.parent):
        digest.update(data.name.encode() + data.read_bytes())
    digest.update(ast.dump(_strip_docstrings(tree)).encode())
    return digest.hexdigest(), frozenset(imports)


def closure(stage: str) -> list[str]:
    """Names of all emotalk_core modules that `stage` reaches by imports, sorted.

    Raises:
        ValueError: no module of that name.
    """
    if _module_path(stage) is None:
        raise ValueError(
            f"stage={stage}: no such module under {PACKAGE.name}; check the rule's params"
        )
    todo, seen = [stage], set()
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo.extend(_module_digest(name)[1])
    return sorted(seen)


@cache
def code_version(stage: str) -> str:
    """Twelve hex digits that change exactly when code reached from `stage` changes."""
    parts = [(name, _module_digest(name)[0]) for name in closure(stage)]
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:12]
