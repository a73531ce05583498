"""Fingerprints change with code, data files and kernels, and not with comments or docstrings."""

from __future__ import annotations

from pathlib import Path

import pytest

from emotalk_core import code_version as module


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny package: stage -> helper (inside a function) -> lazy entry; other stands apart."""
    root = tmp_path / "emotalk_core"
    root.mkdir()
    (root / "stage.py").write_text(
        '"""Doc."""\ndef run():\n    from emotalk_core.helper import x\n    return x  # why\n'
    )
    (root / "helper.py").write_text('TABLE = {"a": "emotalk_core.lazy:Thing"}\nx = 1\n')
    (root / "lazy.py").write_text('DATA = "table.toml", "numbers.csv"\nclass Thing: pass\n')
    (root / "table.toml").write_text("a = 1\n")
    (root / "data").mkdir()
    (root / "data" / "numbers.csv").write_text("1\n")
    (root / "other.py").write_text("y = 2\n")
    monkeypatch.setattr(module, "PACKAGE", root)
    return root


def fingerprint(stage: str = "stage") -> str:
    module.code_version.cache_clear()
    module._module_digest.cache_clear()
    return module.code_version(stage)


def test_closure_follows_function_level_and_lazy_imports(package: Path) -> None:
    module._module_digest.cache_clear()
    assert module.closure("stage") == ["helper", "lazy", "stage"]


@pytest.mark.parametrize(
    ("name", "old", "new", "changes"),
    [
        ("stage.py", "# why", "# because", False),
        ("stage.py", '"""Doc."""', '"""Other words."""', False),
        ("helper.py", "x = 1", "x = 3", True),
        ("lazy.py", "pass", "z = 1", True),
        ("table.toml", "a = 1", "a = 2", True),
        ("data/numbers.csv", "1", "2", True),
        ("other.py", "y = 2", "y = 3", False),
    ],
)
def test_fingerprint_changes_with_code_only(
    package: Path, name: str, old: str, new: str, changes: bool
) -> None:
    before = fingerprint()
    path = package / name
    path.write_text(path.read_text().replace(old, new))
    assert (fingerprint() != before) is changes


def test_unknown_stage_is_named() -> None:
    with pytest.raises(ValueError, match="no_such_room"):
        module.closure("no_such_room.stage")


def test_parsed_sources_are_remembered_by_their_bytes(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second process parses nothing and says the same; an edit shows; a bad store is no harm."""
    monkeypatch.setattr(module, "_known", {})
    monkeypatch.setattr(module, "_store", None)
    store = tmp_path / "code_versions.json"
    module.remember_in(store)
    first = fingerprint()
    module._known.clear()
    module.remember_in(store)
    assert len(module._known) == 3
    with monkeypatch.context() as no_parser:
        no_parser.setattr(module, "_parse", lambda source: pytest.fail("parsed again"))
        assert fingerprint() == first
    (package / "helper.py").write_text('TABLE = {"a": "emotalk_core.lazy:Thing"}\nx = 9\n')
    assert fingerprint() != first
    for broken in ("{", "[]", '{"reader": "older", "k": ["a"]}'):
        store.write_text(broken)
        module._known.clear()
        module.remember_in(store)
        assert not module._known
