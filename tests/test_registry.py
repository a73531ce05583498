"""Lazy registries load by name and name the nearest neighbour of a typo."""

import pytest

from emotalk_core.registry import Registry

TABLE = Registry("error", {"input": "emotalk_core.errors:InputError"})


def test_loads_the_object_behind_a_name() -> None:
    from emotalk_core.errors import InputError

    assert TABLE.load("input") is InputError


def test_typo_names_its_neighbour() -> None:
    with pytest.raises(KeyError, match="did you mean 'input'"):
        TABLE.load("inputt")
