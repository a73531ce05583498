"""A lesson in, a crop as cameras might have taken it of anybody out: colours, light, blur, noise.

The actor's labels are exact, so every region can be recoloured on its own: what is learned must not
hang on the actor's palette of skins, lips, teeth, hair and rooms.
"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8

from emotalk_core.perception.landmarks import topology as tp
from emotalk_core.perception.parsing.crops import cut, to_canonical
from emotalk_core.perception.parsing.noise import noise_field
from emotalk_core.perception.parsing.spectacles import (
    BAGS_SHARE,
    STRANDS_SHARE,
    draw_bags,
    draw_strands,
    wear_glasses,
)
from emotalk_core.perception.parsing.tasks import ParsingTask
from emotalk_core.types.regions import LABEL, REGION_NAMES

# Recolouring of each region: standard deviations of the logarithm of its brightness, of the
# logarithm of each colour channel, and of an offset in grey levels.
RECOLOUR = {
    "background": (0.5, 0.15, 40.0),
    "clothes": (0.5, 0.2, 40.0),
    "hair": (0.5, 0.1, 25.0),
    "brows": (0.25, 0.05, 8.0),
    "lips": (0.25, 0.10, 8.0),
    "inner_mouth": (0.5, 0.15, 10.0),
    "teeth": (0.25, 0.05, 10.0),
    "tongue": (0.3, 0.10, 10.0),
}
RECOLOUR_OTHERS = (0.12, 0.04, 5.0)
# Each lesson draws how much of it all it gets: most people's teeth are whiter than their tongue
MOST_RECOLOURED = 1.25
SCALE, TURN, SHIFT = 0.1, 0.08, 0.04  # of crops: log, radians, share of the side
# Faults on lips beyond those that the detector made on the lesson (people differ more than actors),
# shares of the mouth crop's side: all together, each inner lip
LIP_SHIFT, INNER_SHIFT, LIP_SIZE = 0.008, 0.012, 0.04
NO_INNER_RING = 0.1  # share of crops in which the inner lips were not found
UPPER_INNER = (191, 80, 81, 82, 13, 312, 311, 310, 415)
LOWER_INNER = (95, 88, 178, 87, 14, 317, 402, 318, 324)
ROUGH_SHARE = 0.5  # of crops: coarse textures over background and clothes
PALE_LIPS = 0.9  # so much of the way from lips to skin a mouth's colour may lie
LIP_LIGHT, LIP_TINT = (
    0.2,
    0.06,
)  # log steps between the upper and the lower lip, and from end to end
UNEVEN, UNEVEN_TINT = 0.15, 0.06  # log steps of light and colour over the picture
# Lessons are drawn finer than the crop: the camera averages over its pixels, and so do their labels
FINE = 1.75  # px of the drawing to one of the crop: about a lesson's own
# The camera's pixels to one of the crop's (a mouth of a 256 px clip has 0.67, of a 512 px clip
# 1.33); compression comes before the crop is brought to its size, as in a video
CAMERA_SCALE, COMPRESSED_SHARE, QUALITY = (0.5, 1.5), 0.7, (35, 95)
BLURRED_SHARE, BLUR = 0.35, (0.3, 1.0)  # of crops; px of the crop
MOST_GRAIN = 5.0  # grey levels


def random_transform(
    transform: Float[np.ndarray, "2 3"], size: int, rng: np.random.Generator
) -> tuple[Float[np.ndarray, "2 3"], bool]:
    """A crop's transform moved a little, mirrored half the time."""
    scale, turn = np.exp(rng.normal(0, SCALE)), rng.normal(0, TURN)
    c, s = scale * np.cos(turn), scale * np.sin(turn)
    mirrored = bool(rng.random() < 0.5)
    spin = np.array([[c, -s], [s, c]]) @ np.diag([-1.0 if mirrored else 1.0, 1.0])
    middle = np.full(2, size / 2)
    moved = np.empty((2, 3))
    moved[:, :2] = spin @ transform[:, :2]
    moved[:, 2] = spin @ (transform[:, 2] - middle) + middle + rng.normal(0, SHIFT, 2) * size
    return moved, mirrored


def disturbed_points(
    points: Float[np.ndarray, "478 2"], side: float, rng: np.random.Generator
) -> Float[np.ndarray, "478 2"]:
    """Landmarks with the faults that the detector has on lips.

    Args:
        points: px of the crop.
        side: px that the mouth crop's side would have.
        rng: draws the faults.
    """
    moved = points + rng.normal(0, 0.004, 2) * side
    lips = list(tp.LIPS)
    middle = moved[lips].mean(axis=0)
    moved[lips] = (moved[lips] - middle) * np.exp(rng.normal(0, LIP_SIZE)) + middle
    moved[lips] += rng.normal(0, LIP_SHIFT, 2) * side
    for ring in (UPPER_INNER, LOWER_INNER):
        moved[list(ring), 1] += rng.normal(0, INNER_SHIFT) * side
    if rng.random() < NO_INNER_RING:
        moved[list(tp.INNER_LIPS)] = moved[list(tp.INNER_LIPS)].mean(axis=0)
    return moved


def _recolour(
    crop: Float32[np.ndarray, "S S 3"], labels: UInt8[np.ndarray, "S S"], rng: np.random.Generator
) -> Float32[np.ndarray, "S S 3"]:
    """Every region another brightness and tint; lips somewhere between theirs and the skin's."""
    strength = rng.uniform(0, MOST_RECOLOURED)
    gains = np.ones((len(REGION_NAMES), 3), np.float32)
    offsets = np.zeros((len(REGION_NAMES), 3), np.float32)
    for name in REGION_NAMES:
        light, tint, offset = (strength * v for v in RECOLOUR.get(name, RECOLOUR_OTHERS))
        gains[LABEL[name]] = np.exp(rng.normal(0, light) + rng.normal(0, tint, 3))
        offsets[LABEL[name]] = rng.normal(0, offset) + rng.normal(0, 0.3 * offset, 3)
    lips, skin = labels == LABEL["lips"], labels == LABEL["skin"]
    if lips.any() and skin.any():
        share = strength * rng.uniform(0, PALE_LIPS) * (rng.random() < 0.5)
        change = crop[skin].mean(axis=0) / np.maximum(crop[lips].mean(axis=0), 1)
        gains[LABEL["lips"]] *= change**share
    colour = crop * _lip_light(lips, strength, rng)
    soft = [cv2.blur(table[labels], (3, 3)) for table in (gains, offsets)]
    return colour * soft[0] + soft[1]


def _lip_light(
    lips: Bool[np.ndarray, "S S"], strength: float, rng: np.random.Generator
) -> Float32[np.ndarray, "S S 3"]:
    """Lips that are darker above than below or the other way, by another tint too."""
    size = len(lips)
    field = np.stack([noise_field(size, 3, rng)] * 3, axis=-1) * rng.normal(0, LIP_LIGHT)
    rows = np.flatnonzero(lips.any(axis=1))
    if len(rows):
        across = np.clip((np.arange(size) - rows.mean()) / max(np.ptp(rows) / 2, 1), -1, 1)
        field += across[:, None, None] * rng.normal(0, LIP_LIGHT) + rng.normal(0, LIP_TINT, 3)
    return np.exp(field * (strength * lips[..., None]).astype(np.float32))


def _rough(
    crop: Float32[np.ndarray, "S S 3"], labels: UInt8[np.ndarray, "S S"], rng: np.random.Generator
) -> None:
    """Coarse random textures on what lies around the head: rooms, flags, patterned clothes."""
    size = len(crop)
    for name in ("background", "clothes"):
        if rng.random() < ROUGH_SHARE:
            field = noise_field(size, int(rng.integers(3, 24)), rng)
            tint = rng.normal(0, 30, 3).astype(np.float32)
            mask = (labels == LABEL[name]).astype(np.float32)
            crop += (field * mask)[..., None] * tint


def _camera(
    drawing: Float32[np.ndarray, "F F 3"], size: int, rng: np.random.Generator
) -> UInt8[np.ndarray, "S S 3"]:
    """Loss of resolution, uneven light, gamma, white balance, blur, grain, compression."""
    scale = np.exp(rng.uniform(*np.log(CAMERA_SCALE)))
    seen = max(round(size * scale), 8)
    level = cv2.resize(drawing, (seen, seen), interpolation=cv2.INTER_AREA)
    cells = int(rng.integers(2, 7))
    shade = np.exp(
        rng.normal(0, UNEVEN) * noise_field(seen, cells, rng)[..., None]
        + rng.normal(0, UNEVEN_TINT, 3).astype(np.float32)
        * noise_field(seen, cells, rng)[..., None]
    )
    tint = np.exp(rng.normal(0, 0.05, 3) + rng.normal(0, 0.15)).astype(np.float32)
    level = np.clip(level * shade * tint, 0, 255) / 255
    level = level ** np.float32(np.exp(rng.normal(0, 0.2)))
    if rng.random() < BLURRED_SHARE:
        level = cv2.GaussianBlur(level, (0, 0), rng.uniform(*BLUR) * scale)
    level = level * 255 + rng.normal(0, rng.uniform(0, MOST_GRAIN), level.shape)
    picture = np.clip(level, 0, 255).astype(np.uint8)
    if rng.random() < COMPRESSED_SHARE:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(*QUALITY))]
        picture = cv2.imdecode(cv2.imencode(".jpg", picture, quality)[1], cv2.IMREAD_COLOR)
    enlarged = cv2.INTER_CUBIC if seen < size else cv2.INTER_LINEAR  # as `crops.cut` does
    return cv2.resize(picture, (size, size), interpolation=enlarged)


def learner_view(
    task: ParsingTask,
    rgb: UInt8[np.ndarray, "H W 3"],
    labels: UInt8[np.ndarray, "H W"],
    landmarks: Float[np.ndarray, "478 2"],
    transform: Float[np.ndarray, "2 3"],
    rng: np.random.Generator,
) -> tuple[UInt8[np.ndarray, "S S 3"], Float[np.ndarray, "478 2"], Float32[np.ndarray, "S S K"]]:
    """One lesson as the network sees it: crop, landmarks in it, share of the classes in each pixel.

    Shares, not labels: teeth are often strips of less than a pixel.
    """
    size, fine = task.crop.size, round(task.crop.size * FINE)
    transform, _ = random_transform(transform, size, rng)
    points = landmarks @ transform[:, :2].T + transform[:, 2]
    metres = float(np.linalg.norm(to_canonical(points)[:, 0]))  # of one px
    finer = transform * (fine / size)
    drawing = cut(rgb, finer, fine).astype(np.float32)
    parts = cut(labels, finer, fine, nearest=True)
    drawing = _recolour(drawing, parts, rng)
    _rough(drawing, parts, rng)
    worn = np.zeros(parts.shape, np.float32)
    if task.drawn and rng.random() < STRANDS_SHARE:
        draw_strands(drawing, points * (fine / size), rng)
    if task.drawn and rng.random() < BAGS_SHARE:
        draw_bags(drawing, points * (fine / size), rng)
    if rng.random() < task.glasses_share:
        worn = wear_glasses(drawing, points * (fine / size), rng)
    classes = task.class_of_label()[parts]
    masks = [(classes == k).astype(np.float32) for k in range(len(task.classes))]
    if task.drawn:
        masks = [*(mask * (1 - worn) for mask in masks[:-1]), worn]
    small = [cv2.resize(mask, (size, size), interpolation=cv2.INTER_AREA) for mask in masks]
    shares = np.stack(small, axis=-1)
    return _camera(drawing, size, rng), disturbed_points(points, 0.08 / metres, rng), shares
