"""The errors that users see: each names argument, got, wanted and the next step."""

from __future__ import annotations


class EmotalkError(Exception):
    """Root of all errors that this project raises on purpose."""


class InputError(EmotalkError):
    """The user's data cannot be used: unreadable video, no face, silence, bad name."""


class ConfigError(EmotalkError):
    """The configuration is wrong; carries all mistakes at once."""


class ArtifactError(EmotalkError):
    """A cached file between two stages breaks its contract (frame counts, keys, version)."""


class BackendUnavailableError(EmotalkError):
    """A compute backend is missing; says what to install and what can be used instead."""


class WeightsError(EmotalkError):
    """A weight file is absent, has the wrong hash or an unsafe format."""


class NumericalError(EmotalkError):
    """A computation produced NaN or infinity; names the tensor and the step."""


def explain(argument: str, got: object, wanted: str, next_step: str) -> str:
    """One line in the project's format: `argument=got: wanted; next step`."""
    return f"{argument}={got}: {wanted}; {next_step}"
