"""Every number under which code cites the method stands on its page."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "method.md"
CITED = re.compile(r"METHOD (?:decisions? )?\d+(?:\.\d+)?")
SECTION = re.compile(r"^(?:#+ |- \*\*)(\d+(?:\.\d+)?)\b", re.MULTILINE)
DECISION = re.compile(r"^(\d+)\. ", re.MULTILINE)


def test_every_citation_has_its_place() -> None:
    text = PAGE.read_text(encoding="utf-8")
    facts, decisions = text.split("## 4. Decisions")
    numbers = DECISION.findall(decisions)
    known = {f"METHOD {n}" for n in SECTION.findall(facts)} | {f"METHOD 4.{n}" for n in numbers}
    known |= {f"METHOD decision {n}" for n in numbers}
    cited = {
        citation
        for folder in ("emotalk_core", "tests", "workflow_scripts", "rules", "benchmarks")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in {".py", ".toml", ".json", ".smk"} and path != Path(__file__)
        for citation in CITED.findall(path.read_text(encoding="utf-8"))
    }
    assert len(cited) > 15
    assert not cited - known
