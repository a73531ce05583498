"""A clip's mouths as the network sees them in; what its colours say of lips, teeth, tongue out.

The network knows teeth in general, a clip shows one person's: what it is sure of in open mouths
says which colours are teeth where they are a strip in the shade.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64, UInt8

from emotalk_core.perception.landmarks import topology as tp
from emotalk_core.perception.parsing.packaged import Placed
from emotalk_core.perception.parsing.tasks import MOUTH
from emotalk_core.perception.regions.face import FaceShape
from emotalk_core.perception.regions.filters import dilate

LIP_REACH = 0.02  # of the face height: so far may lips lie from where the landmarks have them
INSIDE = MOUTH.classes.index(("inner_mouth",))  # from this class on: the inside of the mouth
NAMES = (("lips",), ("teeth",), ("tongue",))
CHOSEN = [MOUTH.classes.index(names) for names in NAMES]
LEAST_INSIDE = 0.02  # chance of any inside of the mouth: colours are asked from there on
# Found on held-out actors 1013, 3001, 3002, 3004 and 3005
TAUGHT_BY = 0.5  # chance from which a pixel teaches its class
LEAST_PIXELS = 40.0  # sum of chances that a class needs, else colours are not asked
COLOUR_NOISE = 40.0  # squared grey levels added to every variance
COLOUR_WEIGHT, MOST_LOG = 0.5, 2.0  # weight and bound of the colours' log chances
LEAST_CHANCE = 1e-4  # as in parsing.crops


@dataclass(frozen=True)
class MouthColours:
    """One Gaussian for each of `NAMES` over brightness, red less green, green less blue.

    Attributes:
        mean: grey levels. inverse: of the covariance. log_det: of the covariance.
    """

    mean: Float64[np.ndarray, "3 3"]
    inverse: Float64[np.ndarray, "3 3 3"]
    log_det: Float64[np.ndarray, " 3"]

    def weigh(
        self, chances: Float32[np.ndarray, "h w 5"], picture: UInt8[np.ndarray, "h w 3"]
    ) -> Float32[np.ndarray, "h w 5"]:
        """Chances (no longer of sum 1) with what the picture's colours say in and at the mouth."""
        here = _asked(chances)
        off = _features(picture[here])[:, None] - self.mean
        logs = -0.5 * (np.einsum("nki,kij,nkj->nk", off, self.inverse, off) + self.log_det)
        logs = np.clip(logs - logs.mean(axis=1, keepdims=True), -MOST_LOG, MOST_LOG)
        result = chances + np.float32(LEAST_CHANCE) * (chances > 0)
        inside = result[here]
        inside[:, CHOSEN] *= np.exp(COLOUR_WEIGHT * logs).astype(np.float32)
        result[here] = inside
        return result


def learn_mouth_colours(
    seen: Iterable[tuple[Float32[np.ndarray, "h w 5"], UInt8[np.ndarray, "h w 3"]]],
) -> MouthColours | None:
    """The Gaussians of a clip, or None where it hardly shows lips, teeth and a tongue together.

    Args:
        seen: chances near the lips and pictures of some frames.
    """
    asked = [(chances, picture, _asked(chances)) for chances, picture in seen]
    chances = np.concatenate([chances[here] for chances, _, here in asked])
    colours = np.concatenate([_features(picture[here]) for _, picture, here in asked])
    means, covariances = [], []
    for number in CHOSEN:
        weight = chances[:, number] * (chances[:, number] > TAUGHT_BY)
        if weight.sum() < LEAST_PIXELS:
            return None
        mean = np.average(colours, axis=0, weights=weight)
        off = colours - mean
        spread = (off * weight[:, None]).T @ off / weight.sum()
        means.append(mean)
        covariances.append(spread + COLOUR_NOISE * np.eye(3))
    stacked = np.stack(covariances)
    return MouthColours(np.stack(means), np.linalg.inv(stacked), np.linalg.slogdet(stacked)[1])


def near_lips(mouth: Placed, face: FaceShape) -> Float32[np.ndarray, "h w 5"]:
    """The network's chances without lips and mouths far from the landmarks' lips."""
    reach = LIP_REACH * face.height
    lips = dilate(face.ring(tp.OUTER_LIPS)[mouth.box] > 0.5, reach)
    inside = dilate(face.ring(tp.INNER_LIPS)[mouth.box] > 0, reach)
    return mouth.chances * np.stack([np.ones_like(lips), lips, *[lips & inside] * 3], axis=-1)


def _asked(chances: Float32[np.ndarray, "h w 5"]) -> Bool[np.ndarray, "h w"]:
    return chances[..., INSIDE:].sum(axis=-1) > LEAST_INSIDE


def _features(colours: UInt8[np.ndarray, "N 3"]) -> Float64[np.ndarray, "N 3"]:
    """Brightness, red less green, green less blue; grey levels."""
    red, green, blue = colours.astype(np.float64).T
    return np.stack([(red + green + blue) / 3, red - green, green - blue], axis=-1)
