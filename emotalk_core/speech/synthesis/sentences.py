"""The number of a sentence in, its text out."""

from __future__ import annotations

import tomllib
from functools import lru_cache
from pathlib import Path

from emotalk_core.errors import InputError, explain

FILE = "sentences.toml"


@lru_cache(maxsize=1)
def sentences() -> tuple[str, ...]:
    """The ten sentences of the paper (S5), in its order, then sixty balanced ones of our own."""
    lists = tomllib.loads(Path(__file__).with_name(FILE).read_text(encoding="utf-8"))
    return (*lists["paper"], *lists["balanced"])


def sentence(index: int) -> str:
    """Sentence 1, 2, ... 70; the first ten are the paper's.

    Raises:
        InputError: no sentence has this number.
    """
    texts = sentences()
    if not 1 <= index <= len(texts):
        raise InputError(
            explain("sentence", index, f"wanted 1..{len(texts)}", f"see {FILE} for the texts")
        )
    return texts[index - 1]
