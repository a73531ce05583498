"""Teeth networks by name: a frame and its label map in, the label map with their teeth out."""

from __future__ import annotations

from typing import Protocol

import cv2
import numpy as np
import torch
from jaxtyping import Bool, UInt8

from emotalk_core.errors import ConfigError
from emotalk_core.media.weight_files import open_network
from emotalk_core.perception.teeth.easyportrait import DEVIATION, MEAN, TEETH, EasyPortraitFPN
from emotalk_core.registry import Registry
from emotalk_core.types.regions import LABEL, MOUTH, region_mask

PACKAGED = "packaged"
# word of regions.teeth -> function that opens the network, None where its weights are missing
TEETH_READERS = Registry(
    "regions.teeth", {"easyportrait": "emotalk_core.perception.teeth.readers:open_easyportrait"}
)
INPUT_SIZE = 512  # px, side of the pictures of fpn-fp-512; 512x512 frames go in as they are


class TeethReader(Protocol):
    """A network that finds teeth in a whole frame.

    Attributes:
        id: goes into the log.
    """

    id: str

    def teeth(self, frame: UInt8[np.ndarray, "H W 3"]) -> Bool[np.ndarray, "H W"]:
        """True on teeth."""
        ...


def open_teeth(name: str) -> TeethReader | None:
    """The reader of that name; None for the packaged method (also where weights are missing).

    Raises:
        ConfigError: unknown name.
    """
    if name == PACKAGED:
        return None
    try:
        reader: TeethReader | None = TEETH_READERS.load(name)()
    except KeyError as error:
        raise ConfigError(f"{error.args[0]}; set regions.teeth in config.yaml") from error
    return reader


def open_easyportrait() -> EasyPortraitTeeth | None:
    """EasyPortrait's FPN with its published weights, or None with a warning."""
    network = open_network("easyportrait", EasyPortraitFPN)
    return None if network is None else EasyPortraitTeeth(network)


class EasyPortraitTeeth:
    """Class 7 of EasyPortrait's face parsing.

    Args:
        network: with weights, in evaluation mode.
    """

    id = "easyportrait-fpn-resnet50-512"

    def __init__(self, network: EasyPortraitFPN) -> None:
        self._network = network

    def teeth(self, frame: UInt8[np.ndarray, "H W 3"]) -> Bool[np.ndarray, "H W"]:
        """See `TeethReader.teeth`."""
        height, width = frame.shape[:2]
        picture = frame
        if (height, width) != (INPUT_SIZE, INPUT_SIZE):
            picture = cv2.resize(frame, (INPUT_SIZE, INPUT_SIZE))
        units = (picture.astype(np.float32) - np.array(MEAN, np.float32)) / np.array(
            DEVIATION, np.float32
        )
        with torch.no_grad():
            logits = self._network(torch.from_numpy(units).permute(2, 0, 1)[None])[0]
        found = (logits.argmax(0) == TEETH).numpy().astype(np.uint8)
        if picture is not frame:
            found = cv2.resize(found, (width, height), interpolation=cv2.INTER_NEAREST)
        return found.astype(bool)


def paint_teeth(
    labels: UInt8[np.ndarray, "H W"], teeth: Bool[np.ndarray, "H W"]
) -> UInt8[np.ndarray, "H W"]:
    """The label map with these teeth and no others.

    Teeth count inside the mouth and on the lips (a union, METHOD decision 8; never an exclusive or,
    which would add teeth outside the face); other teeth of the map become inner mouth.
    """
    painted = labels.copy()
    painted[labels == LABEL["teeth"]] = LABEL["inner_mouth"]
    painted[teeth & region_mask(labels, (*MOUTH, "lips"))] = LABEL["teeth"]
    return painted
