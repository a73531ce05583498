"""Face parsing networks by name: a frame in, the label map and the soft head alpha out."""

from __future__ import annotations

from typing import Protocol

import cv2
import numpy as np
import torch
from jaxtyping import Float32, UInt8

from emotalk_core.errors import ConfigError
from emotalk_core.media.weight_files import open_network
from emotalk_core.perception.regions.bisenet import CLASSES, BiSeNet
from emotalk_core.registry import Registry
from emotalk_core.types.regions import HEAD, LABEL, REGION_NAMES

PACKAGED = "packaged"
# word of regions.parser -> function that opens the network, None where its weights are missing
PARSERS = Registry(
    "regions.parser", {"bisenet": "emotalk_core.perception.regions.parsers:open_bisenet"}
)

INPUT_SIZE = 512  # px, side of the picture that BiSeNet was trained on
MEAN = np.array([0.485, 0.456, 0.406], np.float32)  # ImageNet, RGB in [0,1]
DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)
# Class of CelebAMask-HQ -> region of ours. Glasses, nose and jewellery go to what they lie on.
REGION_OF = {
    "background": "background",
    "skin": "skin",
    "l_brow": "brows",
    "r_brow": "brows",
    "l_eye": "eyes",
    "r_eye": "eyes",
    "eye_g": "skin",
    "l_ear": "ears",
    "r_ear": "ears",
    "ear_r": "ears",
    "nose": "skin",
    "mouth": "inner_mouth",
    "u_lip": "lips",
    "l_lip": "lips",
    "neck": "neck",
    "neck_l": "neck",
    "cloth": "clothes",
    "hair": "hair",
    "hat": "hair",
}


class Parser(Protocol):
    """A network that labels every pixel.

    Attributes:
        id: goes into the log.
    """

    id: str

    def parse(
        self, frame: UInt8[np.ndarray, "H W 3"]
    ) -> tuple[UInt8[np.ndarray, "H W"], Float32[np.ndarray, "H W"]]:
        """Numbers of `types.regions.REGION_NAMES`, and the head's opacity 0..1."""
        ...


def open_parser(name: str) -> Parser | None:
    """The parser of that name; None for the packaged method (also where weights are missing).

    Raises:
        ConfigError: unknown name.
    """
    if name == PACKAGED:
        return None
    try:
        parser: Parser | None = PARSERS.load(name)()
    except KeyError as error:
        raise ConfigError(f"{error.args[0]}; set regions.parser in config.yaml") from error
    return parser


def open_bisenet() -> BiSeNetParser | None:
    """BiSeNet with its published weights, or None with a warning."""
    network = open_network("bisenet", BiSeNet)
    return None if network is None else BiSeNetParser(network)


class BiSeNetParser:
    """BiSeNet on whole frames, as its makers test it: 512x512, ImageNet units.

    Args:
        network: with weights, in evaluation mode.
    """

    id = "bisenet-celebamask-hq-19"

    def __init__(self, network: BiSeNet) -> None:
        self._network = network
        self._to_region = torch.zeros(len(REGION_NAMES), len(CLASSES))
        for column, name in enumerate(CLASSES):
            self._to_region[LABEL[REGION_OF[name]], column] = 1

    def probabilities(self, frame: UInt8[np.ndarray, "H W 3"]) -> Float32[np.ndarray, "R H W"]:
        """Probability of each of our regions at every pixel."""
        from PIL import Image

        size = (INPUT_SIZE, INPUT_SIZE)
        picture = np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.BILINEAR))
        units = (picture.astype(np.float32) / 255 - MEAN) / DEVIATION
        with torch.no_grad():
            logits = self._network(torch.from_numpy(units).permute(2, 0, 1)[None])[0][0]
            regions = torch.einsum("rc,chw->rhw", self._to_region, logits.softmax(0)).numpy()
        height, width = frame.shape[:2]
        return np.stack([cv2.resize(r, (width, height)) for r in regions])

    def parse(
        self, frame: UInt8[np.ndarray, "H W 3"]
    ) -> tuple[UInt8[np.ndarray, "H W"], Float32[np.ndarray, "H W"]]:
        """See `Parser.parse`."""
        regions = self.probabilities(frame)
        head = regions[[LABEL[name] for name in HEAD]].sum(axis=0)
        return regions.argmax(axis=0).astype(np.uint8), np.clip(head, 0, 1)
