"""Subject names: which pass, which are refused, and what the refusal says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emotalk_core.errors import InputError
from emotalk_core.types.names import check_known_subject, check_subject_name


@pytest.mark.parametrize("name", ["obama", "May_2", "a", "x-1", "_", "A" * 64])
def test_good_names_come_back_unchanged(name: str) -> None:
    assert check_subject_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "../x",
        "a/b",
        "a\\b",
        ".",
        "..",
        ".hidden",
        "a.b",
        "a b",
        "-rf",
        "é",
        "A" * 65,
        "a\n",
        "a\0",
    ],
)
def test_bad_names_are_refused_with_what_is_wanted(name: str) -> None:
    with pytest.raises(InputError, match="letters a-z"):
        check_subject_name(name)


def test_the_shared_folder_is_no_subject() -> None:
    with pytest.raises(InputError, match="shared by all subjects"):
        check_subject_name("common")


@given(st.text(max_size=80))
def test_what_passes_is_one_plain_folder_name(name: str) -> None:
    try:
        check_subject_name(name)
    except InputError:
        return
    assert 0 < len(name) <= 64
    assert name.isascii()
    assert not set(name) & set("/\\.: \n\0")


def test_unknown_subject_names_the_nearest() -> None:
    assert check_known_subject("obama", ["may", "obama"]) == "obama"
    with pytest.raises(InputError, match="did you mean obama"):
        check_known_subject("obana", ["may", "obama"])
    with pytest.raises(InputError, match="none"):
        check_known_subject("obama", [])
