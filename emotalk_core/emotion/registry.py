"""Table of emotional face generators by name; listing it imports nothing heavy."""

from __future__ import annotations

from pathlib import Path

from emotalk_core.emotion.generator import EmotionalFaceGenerator
from emotalk_core.errors import ConfigError, explain
from emotalk_core.registry import Registry

# A class of a trained generator takes the checkpoint that it was trained into, others nothing.
GENERATORS = Registry(
    "emotion_bank.generator",
    {
        "geometric": "emotalk_core.emotion.geometric:GeometricGenerator",
        "glef": "emotalk_core.emotion.glef.generator:GlefGenerator",
    },
)
TRAINED = frozenset({"glef"})  # generators that a rule trains for each subject


def create_generator(name: str, checkpoint: Path | None = None) -> EmotionalFaceGenerator:
    """The generator of that name.

    Args:
        name: in `GENERATORS`.
        checkpoint: of a trained generator (rule `train_glef`).

    Raises:
        ConfigError: unknown name (says the nearest known one), or a trained generator without its
            checkpoint.
    """
    try:
        kind = GENERATORS.load(name)
    except KeyError as error:
        raise ConfigError(str(error.args[0])) from error
    if name not in TRAINED:
        return kind()
    if checkpoint is None:
        raise ConfigError(
            explain("generator", name, "needs its checkpoint", "run the rule train_glef first")
        )
    return kind(checkpoint)
