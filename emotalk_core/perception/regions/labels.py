"""One frame's person alpha, face, colours and parts in; soft head alpha and label map out."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float32, Int64, UInt8

from emotalk_core.perception.landmarks import topology as tp
from emotalk_core.perception.parsing.packaged import Placed
from emotalk_core.perception.parsing.tasks import MOUTH
from emotalk_core.perception.regions.clip_model import (
    EVIDENCE,
    SEEN,
    ClipModel,
    hair_chance,
    odds,
)
from emotalk_core.perception.regions.colours import CLOTHES, HAIR, NECK, SKIN
from emotalk_core.perception.regions.face import FaceShape
from emotalk_core.perception.regions.filters import blur, dilate, erode, hanging
from emotalk_core.perception.regions.mouth_colours import MouthColours, near_lips
from emotalk_core.types.regions import LABEL

LINE_SOFTNESS = 0.008  # of the face height: half width of the step at the ear line
LOBE_BAND = 0.07  # of the face height below the ear line: ear lobes end there
LOBE_REACH = 0.2  # of the face height outside the oval: lobes and the nape lie there
INNER_OVAL = 0.06  # of the face height: deeper inside the oval everything is head
HANGING_GAP = 6.0  # face units of background under hair of the nape
SPECK = 4.0  # face units: holes of the person's mask that do not count as background
NAPE_END = 0.1  # of the face height over the chin: hair of the nape ends above
SKIN_BLUR = 1.0  # face units: the colour table is noisy
HAIR_BLUR, NECK_BLUR = 1.0, 2.0
PRIOR_WEIGHT = 2.0  # the clip's neck map counts twice what one frame's colour counts
UNDER_JAW = 0.1  # of the face height: a neck begins there
NECK_REACH = 0.5  # of the face height beside the face's axis
BROW_REACH = 0.04  # of the face height around the landmarks' brows
CAVITY = 0.35  # of the lips' median brightness: what is darker is neither tooth nor tongue
HAIR_ISLAND = 0.01  # of the head's area
EAR_TOP = 0.03  # of the face height above the brows: ears do not reach higher


@dataclass(frozen=True)
class Parts:
    """What the packaged networks see in a frame.

    Attributes:
        head: chances of `clip_model.SEEN`. mouth: of the classes of `parsing.tasks.MOUTH`.
    """

    head: Placed
    mouth: Placed


def _step(distance: Float32[np.ndarray, "H W"], softness: float) -> Float32[np.ndarray, "H W"]:
    """0 below, 1 above, linear over +-softness around 0."""
    return np.clip(0.5 + distance / (2 * softness), 0, 1)


def head_alpha(
    person: Float32[np.ndarray, "H W"],
    face: FaceShape,
    evidence: Float32[np.ndarray, "H W 4"],
) -> Float32[np.ndarray, "H W"]:
    """The part of the person's alpha that belongs to the head: hair, face, ears, lobes, jaw.

    Above the line under the ear lobes all of the person is head. Below it, the oval where it is not
    clothes, the lobes, and short hair of the nape that hangs free over the background. Long hair is
    cut at that line: below, it moves with the body.
    """
    above = _step(face.above_ears, LINE_SOFTNESS)
    sigma = SKIN_BLUR * face.unit
    clothes, skin = (blur(_plane(evidence, name), sigma) for name in ("clothes", "skin"))
    near = face.jaw_distance <= LOBE_REACH * face.height
    lobes = _step(face.above_ears + LOBE_BAND, LINE_SOFTNESS) * skin * near
    solid = erode(dilate(person > 0.5, SPECK * face.unit), SPECK * face.unit)
    loose = hanging(solid, HANGING_GAP * face.unit) & near
    loose &= face.above(face.outline[tp.CHIN]) > NAPE_END
    nape = blur(loose.astype(np.float32), sigma)
    inner = face.jaw_distance < -INNER_OVAL * face.height
    jaw = face.jaw_oval * np.maximum(np.clip(2 - 2 * clothes, 0, 1), inner)
    head = person * np.maximum.reduce([above, lobes, jaw, nape])
    head = np.maximum(head, face.jaw_oval * inner)
    return (head * _main_part(head > 0.3)).astype(np.float32)


def _plane(evidence: Float32[np.ndarray, "H W 4"], name: str) -> Float32[np.ndarray, "H W"]:
    """What colours say of one of `EVIDENCE`."""
    return np.ascontiguousarray(evidence[..., EVIDENCE.index(name)])


def _main_part(mask: Bool[np.ndarray, "H W"]) -> Float32[np.ndarray, "H W"]:
    """1 on the largest connected part (and its rim), 0 on islands."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    if count <= 2:
        return np.ones(mask.shape, np.float32)
    largest = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    islands = dilate(mask & (labels != largest), 1)
    return (~islands | (labels == largest)).astype(np.float32)


def _without_islands(mask: Bool[np.ndarray, "H W"], smallest: float) -> Bool[np.ndarray, "H W"]:
    """Drop connected parts of fewer than `smallest` px (highlights on the forehead)."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    large = stats[:, cv2.CC_STAT_AREA] >= smallest
    return mask & large[labels]


def label_map(
    person: Float32[np.ndarray, "H W"],
    head: Float32[np.ndarray, "H W"],
    face: FaceShape,
    model: ClipModel,
    frame: UInt8[np.ndarray, "H W 3"],
    evidence: Float32[np.ndarray, "H W 4"],
    parts: Parts,
) -> UInt8[np.ndarray, "H W"]:
    """Numbers of `types.regions.REGION_NAMES` for every pixel.

    Args:
        person: alpha of the person.
        head: alpha of the head.
        face: of this frame.
        model: of the clip.
        frame: RGB.
        evidence: what its colours say (`ClipModel.evidence`).
        parts: what the networks see.
    """
    labels = np.full(face.size, LABEL["background"], dtype=np.uint8)
    in_head = head > 0.5
    body = (person > 0.5) & ~in_head
    labels[body] = LABEL["clothes"]
    labels[_neck(body, face, model, evidence)] = LABEL["neck"]
    chance = hair_chance(parts.head, face.size)
    if model.long_hair:
        posterior = model.colours.posterior(frame)
        labels[_hanging_hair(body, in_head, face, posterior, chance)] = LABEL["hair"]
    labels[in_head] = LABEL["skin"]
    oval = face.jaw_oval > 0.5
    over_brows = face.above(face.outline[tp.BROW_TOP])
    likely = blur(odds(chance) + _plane(evidence, "hair"), HAIR_BLUR * face.unit) > 0
    hair = in_head & likely & (~oval | (over_brows > 0))
    hair = _without_islands(hair, HAIR_ISLAND * int(in_head.sum()))
    labels[hair] = LABEL["hair"]
    beside = in_head & ~oval & ~hair & (over_brows < EAR_TOP) & (face.aside > 0.25)
    labels[beside] = LABEL["ears"]
    _paint_parts(labels, frame, face, in_head, parts, model.mouth)
    return labels


def _neck(
    body: Bool[np.ndarray, "H W"],
    face: FaceShape,
    model: ClipModel,
    evidence: Float32[np.ndarray, "H W 4"],
) -> Bool[np.ndarray, "H W"]:
    """Skin of the body by the clip's map and colour, hanging together under the chin (no hands)."""
    likely = _plane(evidence, "neck") + PRIOR_WEIGHT * model.neck_odds
    mask = body & (blur(likely, NECK_BLUR * face.unit) > 0) & (face.aside < NECK_REACH)
    count, labels = cv2.connectedComponents(mask.astype(np.uint8))
    under = face.jaw_distance <= UNDER_JAW * face.height
    touching = np.zeros(count, dtype=bool)
    touching[labels[under & mask]] = True
    touching[0] = False
    return touching[labels]


def _hanging_hair(
    body: Bool[np.ndarray, "H W"],
    head: Bool[np.ndarray, "H W"],
    face: FaceShape,
    posterior: Float32[np.ndarray, "H W C"],
    chance: Float32[np.ndarray, "H W"],
) -> Bool[np.ndarray, "H W"]:
    """Long hair below the ears: body that looks like hair and hangs together with the head.

    It keeps its name, but not its place in the head's alpha: it moves with the body.
    """
    others = np.maximum.reduce([posterior[..., c] for c in (SKIN, CLOTHES, NECK)])
    likeness = posterior[..., HAIR] - others + 2 * (2 * chance - 1)
    mask = body & (blur(likeness, HAIR_BLUR * face.unit) > 0)
    _, parts = cv2.connectedComponents(mask.astype(np.uint8))
    joined = np.unique(parts[dilate(head, 2 * face.unit) & mask])
    return mask & np.isin(parts, joined)


def _paint_parts(
    labels: UInt8[np.ndarray, "H W"],
    frame: UInt8[np.ndarray, "H W 3"],
    face: FaceShape,
    in_head: Bool[np.ndarray, "H W"],
    parts: Parts,
    colours: MouthColours | None,
) -> None:
    """Brows, eyes, lips and the inside of the mouth, in place."""
    seen, here, head = parts.head.chances, labels[parts.head.box], in_head[parts.head.box]
    brows = seen[..., SEEN.index("brows")] > seen[..., SEEN.index("skin")]
    for ring in (tp.RIGHT_BROW, tp.LEFT_BROW):
        near = dilate(face.ring(ring)[parts.head.box] > 0.5, BROW_REACH * face.height)
        here[brows & near & head] = LABEL["brows"]
    for eye in (tp.RIGHT_EYE, tp.LEFT_EYE):
        labels[(face.ring(eye) > 0.5) & in_head] = LABEL["eyes"]
    here, head = labels[parts.mouth.box], in_head[parts.mouth.box]
    chances, picture = near_lips(parts.mouth, face), frame[parts.mouth.box]
    if colours is not None:
        chances = colours.weigh(chances, picture)
    found = chances.argmax(axis=-1)
    find_cavity(found, picture)
    for number, names in enumerate(MOUTH.classes[1:], start=1):
        here[(found == number) & head] = LABEL[names[0]]


def find_cavity(found: Int64[np.ndarray, "h w"], picture: UInt8[np.ndarray, "h w 3"]) -> None:
    """Take back teeth and tongue where the open mouth is black, in place.

    The actor's mouth hardly ever is, so the network looks for a tongue in real ones.

    Args:
        found: classes of `parsing.tasks.MOUTH`.
        picture: RGB of the same pixels.
    """
    inside = MOUTH.classes.index(("inner_mouth",))
    lips = found == MOUTH.classes.index(("lips",))
    if lips.any():
        brightness = picture.mean(axis=-1, dtype=np.float32)
        found[(found > inside) & (brightness < CAVITY * np.median(brightness[lips]))] = inside
