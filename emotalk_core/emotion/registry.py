"""Table of emotional face generators by name; listing it imports nothing heavy."""

from __future__ import annotations

from emotalk_core.emotion.generator import EmotionalFaceGenerator
from emotalk_core.errors import ConfigError
from emotalk_core.registry import Registry

# Each class takes no arguments. The paper's g_LEF joins here when its weights can be loaded.
GENERATORS = Registry(
    "emotion_bank.generator",
    {"geometric": "emotalk_core.emotion.geometric:GeometricGenerator"},
)


def create_generator(name: str) -> EmotionalFaceGenerator:
    """The generator of that name.

    Raises:
        ConfigError: unknown name; says the nearest known one.
    """
    try:
        kind = GENERATORS.load(name)
    except KeyError as error:
        raise ConfigError(str(error.args[0])) from error
    return kind()
