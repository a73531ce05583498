"""From a seed to a person: shape, age, skin, hair, eyes, beard, clothes; and the head in metres."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from emotalk_core.actor.face_model import FaceModel, HeadShape, macro_weights, shape_head

Colour = tuple[int, int, int]  # sRGB, 0..255

SKIN_TONES: dict[str, Colour] = {
    "pale": (226, 188, 168),
    "light": (216, 174, 150),
    "medium": (200, 154, 126),
    "olive": (186, 140, 106),
    "tan": (168, 120, 90),
    "brown": (134, 90, 66),
    "dark": (98, 64, 48),
}
HAIR_COLOURS: dict[str, Colour] = {
    "black": (20, 17, 16),
    "darkbrown": (42, 28, 20),
    "brown": (78, 50, 30),
    "blond": (164, 124, 76),
    "red": (116, 54, 26),
    "grey": (140, 136, 130),
}
IRIS_COLOURS: dict[str, Colour] = {
    "brown": (70, 38, 18),
    "hazel": (100, 76, 34),
    "green": (74, 98, 62),
    "blue": (72, 112, 150),
    "grey": (104, 116, 124),
}
MEN_HAIR = ("crop", "side", "buzz", "curly")
WOMEN_HAIR = ("long", "side", "long", "curly")
CLOTHES = ("tee", "jacket", "turtle", "shirt")
NO_GLASSES = "none"
GLASSES = ("round", "square")
FRAME_COLOURS: tuple[Colour, ...] = (
    (18, 17, 17),
    (58, 36, 22),
    (90, 92, 96),
    (128, 96, 48),
    (34, 44, 70),
)
GLASSES_SHARE, BEARD_SHARE = 0.25, 0.3  # of all people; of men
DETAIL_SPREAD = 0.26  # standard deviation of the axes of shape: faces differ and stay plausible
DETAIL_LIMIT = 0.6
# MakeHuman's women keep much of the male head; these shifts of the axes soften them.
FEMALE_DETAILS = {
    "eye-scale": 0.22,
    "eye-height2": 0.25,
    "chin-width": -0.35,
    "chin-bones": -0.2,
    "head-scale-horiz": -0.25,
    "nose-scale-horiz": -0.3,
    "nose-volume": -0.25,
    "nose-width2": -0.2,
    "head-square": -0.2,
    "head-oval": 0.8,
    "head-fat": -0.25,
    "mouth-upperlip-volume": 0.15,
    "neck-scale-horiz": -0.2,
}
EYE_SCALE_SHIFT = 0.10  # eyes of the base head read a little small


@dataclass(frozen=True)
class Identity:
    """Everything that makes one person, apart from pose and expression.

    Attributes:
        seed: from which this person was drawn; also seeds the noise of the paint.
        races: shares of MakeHuman's african, asian, caucasian heads (sum 1).
        male, age, weight: as in `face_model.macro_weights`.
        details: one value in -1..1 for each axis of `FaceModel.detail_names`.
        skin, hair, iris: keys of the colour tables; style: hair style; clothes: kind of clothes.
        beard: 0 none .. 1 dense stubble; cloth_colour: sRGB.
        brow_thickness, brow_height: small deviations, in units of one standard deviation.
        full_beard: 0 none, else length 0..1 of a full beard; glasses: "none" or a key of
            `glasses.RIMS`; frame_colour: of the glasses, sRGB.
    """

    seed: int
    races: tuple[float, float, float]
    male: float
    age: float
    weight: float
    details: tuple[float, ...]
    skin: str
    hair: str
    iris: str
    style: str
    beard: float
    clothes: str
    cloth_colour: Colour
    brow_thickness: float
    brow_height: float
    full_beard: float = 0.0
    glasses: str = NO_GLASSES
    frame_colour: Colour = FRAME_COLOURS[0]

    @property
    def is_man(self) -> bool:
        """True when the male shapes dominate."""
        return self.male > 0.5


def _muted_colour(rng: np.random.Generator) -> Colour:
    """A random cloth colour with little saturation."""
    raw = rng.uniform(20, 190, 3)
    muted = np.clip(raw.mean() + (raw - raw.mean()) * 0.45, 10, 230)
    return int(muted[0]), int(muted[1]), int(muted[2])


def _choose(rng: np.random.Generator, names: tuple[str, ...] | list[str]) -> str:
    return names[int(rng.integers(len(names)))]


def random_identity(seed: int, n_details: int = 52) -> Identity:
    """Draw a person; the same seed always gives the same person."""
    rng = np.random.default_rng(seed)
    african, asian, caucasian = (float(v) for v in rng.dirichlet([0.6, 0.6, 0.6]))
    man = bool(rng.random() < 0.5)
    mixed = float(rng.uniform(0, 0.15))
    age = float(np.clip(rng.beta(1.6, 2.6), 0, 0.85))
    if african < 0.35:
        tones = ["pale", "light", "medium", "olive", "tan"]
    else:
        tones = ["olive", "tan", "brown"] if african < 0.6 else ["brown", "dark"]
    light_haired = african < 0.35 and asian < 0.5
    hairs = (
        ["black", "darkbrown", "brown", "blond", "red"] if light_haired else ["black", "darkbrown"]
    )
    hair = _choose(rng, hairs)
    if age > 0.6 and rng.random() < 0.7:
        hair = "grey"
    # What is worn comes from its own stream: without it a seed still is the same person
    worn = np.random.default_rng([seed, 9])
    bearded, spectacled = worn.random() < BEARD_SHARE, worn.random() < GLASSES_SHARE
    length, rims = float(worn.uniform(0.15, 1)), _choose(worn, GLASSES)
    frame = FRAME_COLOURS[int(worn.integers(len(FRAME_COLOURS)))]
    return Identity(
        seed=int(seed),
        races=(african, asian, caucasian),
        male=1 - mixed if man else mixed,
        age=age,
        weight=float(np.clip(rng.normal(0, 0.35), -1, 1)),
        details=tuple(
            float(v)
            for v in np.clip(rng.normal(0, DETAIL_SPREAD, n_details), -DETAIL_LIMIT, DETAIL_LIMIT)
        ),
        skin=_choose(rng, tones),
        hair=hair,
        iris=_choose(rng, tuple(IRIS_COLOURS) if light_haired else ("brown", "hazel")),
        style=_choose(rng, MEN_HAIR if man else WOMEN_HAIR),
        beard=float(rng.uniform(0, 1)) if man else 0.0,
        clothes=_choose(rng, CLOTHES),
        cloth_colour=_muted_colour(rng),
        brow_thickness=float(rng.normal()),
        brow_height=float(rng.normal()),
        full_beard=length if man and bearded else 0.0,
        glasses=rims if spectacled else NO_GLASSES,
        frame_colour=frame,
    )


def identity_details(model: FaceModel, identity: Identity) -> Float32[np.ndarray, " 52"]:
    """The person's values on the axes of shape, corrected for sex and for the base head."""
    result = []
    for name, value in zip(model.detail_names, identity.details):
        damp = 0.45 if name.startswith("head") else 0.6 if name.startswith(("eye", "fore")) else 1.0
        shift = FEMALE_DETAILS.get(name, 0.0) * (1 - identity.male)
        shift += EYE_SCALE_SHIFT if name == "eye-scale" else 0.0
        result.append(shift + damp * value)
    return np.clip(np.array(result, np.float32), -1, 1)


def identity_head(model: FaceModel, identity: Identity) -> HeadShape:
    """The person's neutral head in metres."""
    macros = macro_weights(
        model.macro_names, identity.races, identity.male, identity.age, identity.weight
    )
    return shape_head(model, macros, identity_details(model, identity))
