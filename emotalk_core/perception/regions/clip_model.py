"""Strided frames of a clip in; what holds for all of it out: plate, colours, neck map."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8

from emotalk_core.perception.landmarks import topology as tp
from emotalk_core.perception.parsing.packaged import PartReader, Placed
from emotalk_core.perception.parsing.tasks import HEAD
from emotalk_core.perception.regions.colours import (
    CLASSES,
    CLOTHES,
    HAIR,
    NECK,
    SKIN,
    ColourModel,
    fit_colours,
)
from emotalk_core.perception.regions.face import FaceShape
from emotalk_core.perception.regions.filters import blur, dilate
from emotalk_core.perception.regions.mouth_colours import MouthColours
from emotalk_core.perception.regions.plate import Plate, clean_plate
from emotalk_core.perception.regions.settings import RegionSettings

# What is read of the head's network, and which of its classes that is
SEEN = ("background", "skin", "brows", "hair")
SEEN_CLASSES = tuple([names[0] for names in HEAD.classes].index(name) for name in SEEN)
# What colours tell: the first two are probabilities, the others log odds
EVIDENCE = ("clothes", "skin", "neck", "hair")
MAX_EVIDENCE = 2.0  # log odds of one frame's colour
UNKNOWN = 1e-3  # chance under which the network has no opinion
SURE = 217  # person probability (0..255) of pixels that teach colours
ODD_SKIN = (
    0.1  # the tenth of the skin's pixels that look least like skin bounds what skin looks like
)
MIN_OWN_SHARE = 0.05  # of a region's pixels that must not look like skin, else it has no own colour
BESIDE_JAW = 0.62  # of the face height: how far from the face's axis long hair is looked for
OVER_SHOULDERS = 0.12  # of the face height over the chin: collars and shoulders end below
# Skin in the chin's shade is learned from a patch under it: face heights below, beside the axis
UNDER_CHIN = (0.02, 0.1, 0.16)
NECK_MAP_BLUR = 4.0  # face units: the body sways a little against the picture


@dataclass(frozen=True)
class ClipModel:
    """What holds for all frames of a clip.

    Attributes:
        plate: the background without the person.
        colours: hair, skin, clothes.
        usual_parts: mean chances of the head's parts in the aligned crop.
        evidence: what colours say of `EVIDENCE`, by RGB level.
        neck_odds: log odds that what is seen of the body is neck, in the picture's own frame.
        long_hair: hair hangs below the ears.
        long_hair_share: what that decision rests on.
        mouth: colours of lips, teeth and tongue, where the clip shows all of them.
    """

    plate: Plate
    colours: ColourModel
    usual_parts: Float32[np.ndarray, "S S 9"]
    evidence: Float32[np.ndarray, "L L L 4"]
    neck_odds: Float32[np.ndarray, "H W"]
    long_hair: bool
    long_hair_share: float
    mouth: MouthColours | None = None


def build_clip_model(
    frames: UInt8[np.ndarray, "S H W 3"],
    person: UInt8[np.ndarray, "S H W"],
    faces: list[FaceShape],
    reader: PartReader,
    settings: RegionSettings,
) -> ClipModel:
    """Learn a clip from frames spread over it.

    Args:
        frames: RGB.
        person: probability of person, 0..255.
        faces: of these frames.
        reader: of the head's parts.
        settings: config block `regions`.
    """
    plate = clean_plate(frames, person, faces[0].unit)
    step = max(1, len(frames) // settings.colour_frames)
    chosen = range(0, len(frames), step)
    crops = [reader.read_crop(frames[i], faces[i].outline) for i in chosen]
    usual = np.mean(crops, axis=0)
    samples: dict[str, list[np.ndarray]] = {name: [] for name in CLASSES}
    for i in chosen:
        parts = reader.read(frames[i], faces[i].outline, usual, SEEN_CLASSES)
        hairy = hair_chance(parts, faces[i].size)
        for name, mask in _teaching_masks(faces[i], person[i] > SURE, hairy).items():
            samples[name].append(frames[i][mask])
    pixels = {name: np.concatenate(found) for name, found in samples.items()}
    colours = fit_colours(_without_skin(pixels, settings.seed), settings.seed)
    looks = [(faces[i], person[i], colours.posterior(frames[i])) for i in chosen]
    share = float(np.mean([_beside_jaw(*look) for look in looks]))
    return ClipModel(
        plate=plate,
        colours=colours,
        usual_parts=usual,
        evidence=_evidence(colours),
        neck_odds=odds(_neck_map(looks)),
        long_hair=share > settings.long_hair_share,
        long_hair_share=share,
    )


def hair_chance(parts: Placed, shape: tuple[int, int]) -> Float32[np.ndarray, "H W"]:
    """Probability of hair against all other parts of a person; a half where none is expected.

    Args:
        parts: chances of `SEEN`.
        shape: of the frame, px.
    """
    hair = parts.chances[..., SEEN.index("hair")]
    others = 1 - hair - parts.chances[..., SEEN.index("background")]
    chance = np.full(shape, 0.5, np.float32)
    chance[parts.box] = (hair + UNKNOWN) / (hair + others + 2 * UNKNOWN)
    return chance


def odds(p: Float32[np.ndarray, "*shape"]) -> Float32[np.ndarray, "*shape"]:
    """Log odds of a probability, at most those of one in a hundred."""
    p = np.clip(p, 0.01, 0.99)
    return np.log(p / (1 - p))


def _evidence(colours: ColourModel) -> Float32[np.ndarray, "L L L 4"]:
    """`EVIDENCE` by RGB level."""
    table = colours.table
    neck, hair = (
        np.clip(odds(share), -MAX_EVIDENCE, MAX_EVIDENCE)
        for share in (neck_share(table), hair_share(table))
    )
    return np.stack([table[..., CLOTHES], table[..., SKIN], neck, hair], axis=-1)


def _teaching_masks(
    face: FaceShape, sure: Bool[np.ndarray, "H W"], hair_chance: Float32[np.ndarray, "H W"]
) -> dict[str, Bool[np.ndarray, "H W"]]:
    """Where hair, skin and clothes surely are."""
    parts = np.zeros(face.size, dtype=bool)
    for ring in (tp.RIGHT_EYE, tp.LEFT_EYE, tp.RIGHT_BROW, tp.LEFT_BROW, tp.OUTER_LIPS):
        parts |= face.ring(ring) > 0
    hairy = hair_chance > 0.5
    skin = (face.oval(0.85) > 0.5) & ~dilate(parts, 4 * face.unit) & ~hairy
    hair = sure & hairy & (face.above_ears > 0) & (face.oval(0.9) < 0.5)
    clothes = sure & (face.above(face.outline[tp.CHIN]) < -0.12) & ~hairy
    below = -face.above(face.outline[tp.CHIN])
    near, far, beside = UNDER_CHIN
    neck = sure & (below > near) & (below < far) & (face.aside < beside) & ~hairy
    return {"hair": hair, "skin": skin & sure, "clothes": clothes, "neck": neck}


def _without_skin(
    pixels: dict[str, UInt8[np.ndarray, "N 3"]], seed: int
) -> dict[str, UInt8[np.ndarray, "N 3"]]:
    """Drop bare forehead from hair and neck from clothes: what looks like most of the skin."""
    skin = fit_colours({"skin": pixels["skin"]}, seed)

    def likeness(colours: UInt8[np.ndarray, "N 3"]) -> Float[np.ndarray, " N"]:
        return skin.posterior(colours[:, None])[:, 0, SKIN]

    limit = np.quantile(likeness(pixels["skin"]), ODD_SKIN) if len(pixels["skin"]) else 1.0
    kept = {"skin": pixels["skin"], "neck": pixels["neck"]}
    for name in ("hair", "clothes"):
        own = pixels[name][likeness(pixels[name]) < limit]
        kept[name] = own if len(own) > MIN_OWN_SHARE * len(pixels[name]) else own[:0]
    return kept


def hair_share(
    posterior: Float32[np.ndarray, "*shape C"],
) -> Float32[np.ndarray, "*shape"]:
    """Probability of hair by colour where only hair or skin can be."""
    hair, skin = posterior[..., HAIR], posterior[..., SKIN]
    return (hair + 1e-4) / (hair + skin + 2e-4)


def neck_share(
    posterior: Float32[np.ndarray, "*shape C"],
) -> Float32[np.ndarray, "*shape"]:
    """Probability of neck where only neck or clothes can be."""
    neck = np.maximum(posterior[..., SKIN], posterior[..., NECK])
    return (neck + 1e-4) / (neck + posterior[..., CLOTHES] + 2e-4)


_Look = tuple[FaceShape, UInt8[np.ndarray, "H W"], Float32[np.ndarray, "H W C"]]


def _neck_map(looks: list[_Look]) -> Float32[np.ndarray, "H W"]:
    """Mean probability of neck over the frames that show the body there; a half elsewhere."""
    total = np.zeros(looks[0][0].size, dtype=np.float32)
    weight = np.full_like(total, 1e-3)
    for face, person, posterior in looks:
        body = (person > SURE) & (face.above_ears < 0) & (face.jaw_oval < 0.5)
        share = np.where(posterior.max(axis=-1) > 0, neck_share(posterior), 0.5)
        total += share * body
        weight += body
    sigma = NECK_MAP_BLUR * looks[0][0].unit
    return (blur(total, sigma) + 5e-4) / (blur(weight, sigma))


def _beside_jaw(
    face: FaceShape, person: UInt8[np.ndarray, "H W"], posterior: Float32[np.ndarray, "H W C"]
) -> float:
    """Share of hair-like person pixels beside the jaw: next to nothing unless hair hangs there."""
    place = (face.above_ears < 0) & (face.above(face.outline[tp.CHIN]) > OVER_SHOULDERS)
    place &= (face.oval(1.12) < 0.5) & (face.aside < BESIDE_JAW)
    body = (person > 128) & (np.maximum(posterior[..., SKIN], posterior[..., NECK]) < 0.5)
    return float(body[place].mean()) if place.any() else 0.0
