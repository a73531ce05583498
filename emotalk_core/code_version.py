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
import json
import os
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

PACKAGE = Path(__file__).parent
PREFIX = "emotalk_core."
DATA_SUFFIXES = (".npz", ".json", ".toml", ".csv", ".safetensors", ".txt", ".cpp", ".h", ".html")


def _module_path(name: str) -> Path | None:
    base = PACKAGE / name.replace(".", "/")
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if name and path.exists():
            return path
    return None


class _Module(NamedTuple):
    """What the fingerprint needs of one source file: it depends on nothing but the file's bytes."""

    tree: str  # hash of the syntax tree without docstrings
    imports: list[str]  # names inside emotalk_core that may be modules
    data: list[str]  # string constants that look like data files


# Source hash -> what its tree says. Parsing costs seconds, and each job is a process of its own.
_known: dict[str, _Module] = {}
_store: Path | None = None


def remember_in(path: Path) -> None:
    """Keep parsed sources in this file, by the hash of their bytes (an old entry cannot be wrong).

    Args:
        path: a JSON file in a folder that is there; written whole or not at all.
    """
    global _store
    _store = path
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        if entries.pop("reader") == _reader():
            _known.update({key: _Module(*value) for key, value in entries.items()})
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return  # absent or unreadable: parsed again, which is slower and no less right


def _reader() -> str:
    """What an entry depends on besides the source: this file, and Python's way to print a tree."""
    return hashlib.sha256(Path(__file__).read_bytes() + sys.version.encode()).hexdigest()


def _save() -> None:
    if _store is not None and _store.parent.is_dir():
        part = _store.with_name(f"{_store.name}.{os.getpid()}")
        part.write_text(json.dumps({"reader": _reader(), **_known}), encoding="utf-8")
        part.replace(_store)


def _without_docstring(node: ast.AST) -> None:
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        first = node.body[0] if node.body else None
        if (
            isinstance(first, ast.Expr)
            and isinstance(first.value, ast.Constant)
            and isinstance(first.value.value, str)
        ):
            node.body = node.body[1:] or [ast.Pass()]


def _imported(node: ast.AST) -> list[str]:
    """Names inside emotalk_core that this node imports, also by a registry's lazy string."""
    if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("emotalk_core"):
        base = (node.module or "").removeprefix("emotalk_core").lstrip(".")
        return [base, *(f"{base}.{a.name}".lstrip(".") for a in node.names)]
    if isinstance(node, ast.Import):
        return [a.name.removeprefix(PREFIX) for a in node.names if a.name.startswith(PREFIX)]
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        text = node.value
        if text.startswith(PREFIX) and ":" in text and " " not in text:
            return [text.removeprefix(PREFIX).split(":")[0]]
    return []


def _names_data(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and node.value.endswith(DATA_SUFFIXES)
        and len(node.value) < 200
        and not node.value.startswith(("/", "."))
    )


def _parse(source: bytes) -> _Module:
    tree = ast.parse(source)
    nodes = list(ast.walk(tree))
    imports = {name for node in nodes for name in _imported(node)}
    data = {node.value for node in nodes if _names_data(node)}  # type: ignore[attr-defined]
    for node in nodes:
        _without_docstring(node)
    dump = hashlib.sha256(ast.dump(tree).encode()).hexdigest()
    return _Module(dump, sorted(imports), sorted(data))


@cache
def _module_digest(name: str) -> tuple[str, frozenset[str]]:
    """Hash of one module with its data files, and the names it imports."""
    path = _module_path(name)
    assert path is not None, name
    source = path.read_bytes()
    key = hashlib.sha256(source).hexdigest()
    parsed = _known.get(key) or _known.setdefault(key, _parse(source))
    digest = hashlib.sha256()
    places = (path.parent, path.parent / "data")  # a module may name its data folder elsewhere
    for data in (place / file for file in parsed.data for place in places):
        if data.is_file():
            digest.update(data.name.encode() + data.read_bytes())
    digest.update(parsed.tree.encode())
    return digest.hexdigest(), frozenset(n for n in parsed.imports if _module_path(n))


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
    before = len(_known)
    parts = [(name, _module_digest(name)[0]) for name in closure(stage)]
    if len(_known) > before:
        _save()
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:12]
