"""Who is it: a frame and its landmarks in, an embedding of the person out, behind one protocol."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from jaxtyping import Float, UInt8

from emotalk_core.errors import ConfigError
from emotalk_core.registry import Registry

IDENTITY_READERS = Registry(
    "identity",
    {
        "dlib": "emotalk_core.perception.identity.packaged:DlibIdentity",
        "vggface2": "emotalk_core.perception.identity.reference:Vggface2Identity",
    },
)


class IdentityReader(Protocol):
    """What every identity network offers.

    Attributes:
        id: name and version, goes into scores and reports.
        standing_for: the paper's network that it stands in for.
    """

    id: str
    standing_for: str

    def embed(
        self, frame: UInt8[np.ndarray, "H W 3"], landmarks: Float[np.ndarray, "478 3"]
    ) -> Float[np.ndarray, " E"]:
        """Embedding of the face at FaceMesh landmarks (px) of an RGB frame."""
        ...

    @staticmethod
    def files() -> Sequence[Path]:
        """The weight files that are read."""
        ...


def create_identity(name: str = "dlib") -> IdentityReader:
    """The reader of that name.

    Raises:
        ConfigError: no reader has that name.
        WeightsError: its packages are not installed.
    """
    try:
        kind = IDENTITY_READERS.load(name)
    except KeyError as error:
        raise ConfigError(str(error.args[0])) from error
    reader: IdentityReader = kind()
    return reader
