"""Lazy tables of "module:Name" strings: a name in, its object out; listing imports nothing."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Registry:
    """A greppable table of what stands behind a seam.

    Attributes:
        seam: what the entries are, for messages ("loss", "metric", "generator").
        entries: name -> "emotalk_core.module:Name".
    """

    seam: str
    entries: Mapping[str, str]

    def names(self) -> list[str]:
        """Known names, sorted."""
        return sorted(self.entries)

    def load(self, name: str) -> Any:
        """Import and return the object behind `name`.

        Raises:
            KeyError: unknown name; says the nearest known one.
        """
        if name not in self.entries:
            near = difflib.get_close_matches(name, self.entries, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(self.names())}"
            raise KeyError(f"{self.seam}={name}: unknown; {hint}")
        module, _, attribute = self.entries[name].partition(":")
        return getattr(importlib.import_module(module), attribute)
