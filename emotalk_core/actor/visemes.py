"""From an espeak phoneme to mouth targets: expression weights and how firmly they are held."""

from __future__ import annotations

from dataclasses import dataclass, field

SIDES = ("Left", "Right")


@dataclass(frozen=True)
class Viseme:
    """A mouth shape.

    Attributes:
        weights: expression weights; names that end in "*" stand for Left and Right.
        firmness: how strongly the shape resists its neighbours (1 = a vowel; lip closures are
            firm, sounds made by the tongue leave the lips to the neighbours).
        reach: seconds over which the shape fades into its neighbours.
    """

    weights: dict[str, float] = field(default_factory=dict)
    firmness: float = 1.0
    reach: float = 0.060

    def expanded(self) -> dict[str, float]:
        """The weights with both sides named."""
        result = {}
        for name, value in self.weights.items():
            names = [name[:-1] + s for s in SIDES] if name.endswith("*") else [name]
            result.update(dict.fromkeys(names, value))
        return result


REST = Viseme({}, firmness=0.5, reach=0.110)
VISEMES: dict[str, Viseme] = {
    "rest": REST,
    # Lips shut: firm, or bilabials would drown between open vowels
    "closed": Viseme(
        {"mouthPress*": 0.45, "mouthRollLower": 0.30, "mouthRollUpper": 0.25, "jawOpen": 0.02},
        firmness=7.0,
        reach=0.035,
    ),
    "lip_teeth": Viseme(
        {"mouthRollLower": 0.60, "jawOpen": 0.06, "mouthUpperUp*": 0.22, "mouthLowerDown*": 0.05},
        firmness=4.5,
        reach=0.040,
    ),
    "tongue_teeth": Viseme(
        {"jawOpen": 0.16, "tongueOut": 0.45, "mouthLowerDown*": 0.25, "mouthUpperUp*": 0.10},
        firmness=1.2,
        reach=0.045,
    ),
    "tongue_ridge": Viseme(
        {"jawOpen": 0.14, "mouthLowerDown*": 0.32, "mouthUpperUp*": 0.16, "mouthStretch*": 0.08},
        firmness=0.7,
        reach=0.045,
    ),
    "hiss": Viseme(
        {"jawOpen": 0.06, "mouthStretch*": 0.30, "mouthLowerDown*": 0.45, "mouthUpperUp*": 0.25},
        firmness=1.3,
        reach=0.045,
    ),
    "hush": Viseme(
        {"jawOpen": 0.10, "mouthFunnel": 0.55, "mouthPucker": 0.20},
        firmness=1.8,
        reach=0.055,
    ),
    "back": Viseme({"jawOpen": 0.18, "mouthLowerDown*": 0.12}, firmness=0.5, reach=0.050),
    "breath": Viseme({"jawOpen": 0.18, "mouthLowerDown*": 0.10}, firmness=0.4, reach=0.060),
    "rhotic": Viseme(
        {"jawOpen": 0.14, "mouthFunnel": 0.30, "mouthPucker": 0.25}, firmness=1.0, reach=0.060
    ),
    "round_tight": Viseme(
        {"jawOpen": 0.08, "mouthPucker": 0.80, "mouthFunnel": 0.15}, firmness=1.8, reach=0.065
    ),
    "round_open": Viseme(
        {"jawOpen": 0.30, "mouthPucker": 0.50, "mouthFunnel": 0.25}, firmness=1.3, reach=0.065
    ),
    "open": Viseme(
        {"jawOpen": 0.52, "mouthLowerDown*": 0.38, "mouthUpperUp*": 0.25}, firmness=1.2, reach=0.070
    ),
    "half_open": Viseme(
        {"jawOpen": 0.32, "mouthLowerDown*": 0.40, "mouthUpperUp*": 0.24, "mouthStretch*": 0.15},
        reach=0.065,
    ),
    "wide": Viseme(
        {
            "jawOpen": 0.16,
            "mouthStretch*": 0.42,
            "mouthSmile*": 0.12,
            "mouthLowerDown*": 0.42,
            "mouthUpperUp*": 0.26,
        },
        reach=0.060,
    ),
    "neutral_vowel": Viseme({"jawOpen": 0.20, "mouthLowerDown*": 0.15}, firmness=0.6, reach=0.055),
}
# Beginnings of espeak mnemonics, longest first; diphthongs have two shapes one after the other
_PREFIXES: dict[str, tuple[str, ...]] = {
    "aI": ("open", "wide"),
    "aU": ("open", "round_tight"),
    "OI": ("round_open", "wide"),
    "oU": ("round_open", "round_tight"),
    "eI": ("half_open", "wide"),
    "@U": ("neutral_vowel", "round_tight"),
    "@L": ("neutral_vowel", "tongue_ridge"),
    "tS": ("hush",),
    "dZ": ("hush",),
    "a#": ("neutral_vowel",),
    "I2": ("neutral_vowel",),
    "3": ("rhotic",),
    "p": ("closed",),
    "b": ("closed",),
    "m": ("closed",),
    "f": ("lip_teeth",),
    "v": ("lip_teeth",),
    "T": ("tongue_teeth",),
    "D": ("tongue_teeth",),
    "t": ("tongue_ridge",),
    "d": ("tongue_ridge",),
    "n": ("tongue_ridge",),
    "l": ("tongue_ridge",),
    "s": ("hiss",),
    "z": ("hiss",),
    "S": ("hush",),
    "Z": ("hush",),
    "k": ("back",),
    "g": ("back",),
    "N": ("back",),
    "x": ("back",),
    "h": ("breath",),
    "?": ("breath",),
    "r": ("rhotic",),
    "w": ("round_tight",),
    "u": ("round_tight",),
    "U": ("round_tight",),
    "y": ("round_tight",),
    "Y": ("round_tight",),
    "o": ("round_open",),
    "O": ("round_open",),
    "Q": ("round_open",),
    "A": ("open",),
    "a": ("open",),
    "0": ("open",),
    "V": ("open",),
    "E": ("half_open",),
    "e": ("half_open",),
    "&": ("half_open",),
    "i": ("wide",),
    "I": ("wide",),
    "j": ("wide",),
    "@": ("neutral_vowel",),
}
_ORDER = sorted(_PREFIXES, key=len, reverse=True)


def visemes_of(phoneme: str) -> tuple[str, ...]:
    """Names of the mouth shapes of an espeak mnemonic; silence and unknown sounds rest."""
    for prefix in _ORDER:
        if phoneme.startswith(prefix):
            return _PREFIXES[prefix]
    return ("rest",)
