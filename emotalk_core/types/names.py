"""Subject names: a name in, the same name out or one clear refusal (it becomes a folder name)."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from emotalk_core.errors import InputError, explain

MAX_LENGTH = 64  # leaves room for suffixes below the 255 bytes that file systems allow
PATTERN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*")  # no leading "-": it would read as an option
RESERVED = frozenset({"common", "tables"})  # folders of results/ that all subjects share


def check_subject_name(name: str) -> str:
    """Give back a usable subject name.

    Args:
        name: letters a-z A-Z, digits, _ and - (not first); 1 to 64 of them; not "common".

    Raises:
        InputError: anything else, path parts above all.
    """
    wanted = f"wanted 1 to {MAX_LENGTH} letters a-z, digits, _ or - (not first), no path parts"
    if len(name) > MAX_LENGTH or not PATTERN.fullmatch(name):
        raise InputError(
            explain("subject", repr(name[: MAX_LENGTH + 1]), wanted, "rename it in config.yaml")
        )
    if name in RESERVED:
        raise InputError(
            explain(
                "subject",
                repr(name),
                "this folder of results/ is shared by all subjects",
                "choose another name in config.yaml",
            )
        )
    return name


def check_known_subject(name: str, known: Iterable[str]) -> str:
    """Give back a name that the config lists.

    Raises:
        InputError: a bad name, or one that is not in `known`; names the nearest known one.
    """
    check_subject_name(name)
    subjects = sorted(known)
    if name in subjects:
        return name
    nearest = difflib.get_close_matches(name, subjects, n=1)
    hint = f"did you mean {nearest[0]}? " if nearest else ""
    raise InputError(
        explain(
            "subject",
            repr(name),
            f"not among the subjects of config.yaml ({', '.join(subjects) or 'none'})",
            f"{hint}add `subjects: {name}: {{video: data/{name}.mp4}}` to config.yaml",
        )
    )
