"""From the committed CC0 cut-out to the face model: an average head, its shapes and landmarks."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int32, UInt8

from emotalk_core.errors import ArtifactError

DATA = Path(__file__).parent / "data"

# Numbers of the parts of the mesh (see build_face_model.GROUP_PARTS)
BODY, LEFT_EYE, RIGHT_EYE, UPPER_TEETH, LOWER_TEETH, TONGUE, LASHES = range(7)

EYE_DISTANCE = (
    0.062  # metres between the eyeballs' centres: the adult mean; fixes the model's scale
)
DECIMETRE = 0.1  # metres
AXES = np.array([1.0, -1.0, -1.0], np.float32)  # MakeHuman (y up, z to the front) -> OpenCV axes
# The brow targets move less than people do; with 1.35 FaceMesh and MediaPipe's blendshapes read
# raised and lowered brows at their full weight.
BROW_GAIN = 1.35
# MakeHuman's dentition lies so far forward that it pokes through the lips of many people, and so
# high that the upper teeth never show. Factors and shifts (dm) were found on contact sheets.
TEETH_WIDTH, TEETH_DEPTH, TEETH_BACK, UPPER_TEETH_DOWN = 0.89, 0.93, 0.035, 0.045
TONGUE_WIDTH, TONGUE_BACK = 0.88, 0.10
# FaceMesh's inner lip line in pairs, from the person's right corner to the left one
INNER_UPPER_LIP = (191, 80, 81, 82, 13, 312, 311, 310, 415)
INNER_LOWER_LIP = (95, 88, 178, 87, 14, 317, 402, 318, 324)
LIP_OVERLAP = 0.0003  # metres that neutral lips press into each other: no line of light is left
LIP_REACH = 0.011  # metres: height over which the closing of the lips fades into the lip
CORNER_REACH = 0.004  # metres beyond the last pair: the corners are closed already
# Shares of the races, male, age, weight of `macro_weights`: the person at the model's centre
AVERAGE_PERSON = ((1 / 3, 1 / 3, 1 / 3), 0.5, 0.25, 0.0)
MOUTH_BOX = (
    0.36,
    6.35,
    6.95,
    1.2,
)  # |x|, lowest y, highest y, least z of the lips in the base mesh, dm


@dataclass(frozen=True)
class FaceModel:
    """The CC0 head. World axes: metres, x to the image right, y down, z away from the camera.

    The origin lies between the ears at the height of the eyes. Left in a name is the person's left.

    Attributes:
        vertices: [V,3] the average person (`AVERAGE_PERSON`), neutral, lips closed.
        triangles: [F,3]; uv: [F,3,2] in 0..1, v up; part: [F] numbers as `BODY`.. `LASHES`.
        scale: factor from MakeHuman's size to the average person's (its shapes are not scaled).
        expression_deltas: [52,V,3] metres at weight 1 on the average person;
            expression_names: the usual blendshape names.
        macro_deltas: [24,V,3] metres: race, sex, age, weight shapes (`macro_weights` blends them).
        detail_deltas: [52,2,V,3] metres: both ends of an axis of shape.
        base_vertices: [V,3] MakeHuman's own coordinates (dm, y up, z to the front): where
            things are painted, the same for every identity.
        masks: name -> [2048,W] uint8 in the head's UV island (lips, eyelids, ears).
        landmark_triangles: [478]; landmark_barycentrics: [478,3]: FaceMesh's points on the surface.
    """

    vertices: Float32[np.ndarray, "V 3"]
    triangles: Int32[np.ndarray, "F 3"]
    uv: Float32[np.ndarray, "F 3 2"]
    part: UInt8[np.ndarray, " F"]
    scale: float
    expression_deltas: Float32[np.ndarray, "52 V 3"]
    expression_names: tuple[str, ...]
    macro_deltas: Float32[np.ndarray, "24 V 3"]
    macro_names: tuple[str, ...]
    detail_deltas: Float32[np.ndarray, "52 2 V 3"]
    detail_names: tuple[str, ...]
    base_vertices: Float32[np.ndarray, "V 3"]
    masks: dict[str, UInt8[np.ndarray, "H W"]]
    landmark_triangles: Int32[np.ndarray, " 478"]
    landmark_barycentrics: Float32[np.ndarray, "478 3"]

    def part_vertices(self, *parts: int) -> Int32[np.ndarray, " P"]:
        """Sorted numbers of the vertices that belong to the given parts."""
        return np.unique(self.triangles[np.isin(self.part, parts)])

    def on_surface(self, values: Float32[np.ndarray, "*b V 3"]) -> Float32[np.ndarray, "*b 478 3"]:
        """Values of vertices at the 478 landmarks (barycentric mean)."""
        corners = values[..., self.triangles[self.landmark_triangles], :]
        return (corners * self.landmark_barycentrics[:, :, None]).sum(axis=-2)


@dataclass(frozen=True)
class HeadShape:
    """One person's neutral head [V,3] in metres (world) and the factor from MakeHuman's size."""

    vertices: Float32[np.ndarray, "V 3"]
    scale: float


def macro_weights(
    names: tuple[str, ...],
    races: tuple[float, float, float],
    male: float,
    age: float,
    weight: float,
) -> Float32[np.ndarray, " 24"]:
    """Weights of the macro shapes (MakeHuman's rule: products over the axes).

    Args:
        names: `race-sex-age` or `universal-sex-age-averagemuscle-weight`.
        races: shares of african, asian, caucasian (sum 1).
        male: 0 woman .. 1 man.
        age: 0 young .. 1 old.
        weight: -1 thin .. 1 heavy.
    """
    race = dict(zip(("african", "asian", "caucasian"), races))
    build = {
        "minweight": max(-weight, 0.0),
        "averageweight": 1.0 - abs(weight),
        "maxweight": max(weight, 0.0),
    }
    result = []
    for name in names:
        words = name.split("-")
        share = (male if words[1] == "male" else 1 - male) * (age if words[2] == "old" else 1 - age)
        result.append(share * (build[words[4]] if words[0] == "universal" else race[words[0]]))
    return np.array(result, np.float32)


def shape_head(
    model: FaceModel,
    macros: Float32[np.ndarray, " 24"],
    details: Float32[np.ndarray, " 52"],
) -> HeadShape:
    """A person's neutral head from the weights of the shapes, scaled, centred and with closed lips.

    Args:
        model: the face model.
        macros: from `macro_weights`.
        details: -1..1 for every axis of `detail_names`.
    """
    base = model.base_vertices * AXES * DECIMETRE
    ends = (details > 0).astype(int)
    detail = model.detail_deltas[np.arange(len(details)), ends]
    vertices = base + np.tensordot(macros, model.macro_deltas, axes=1)
    vertices = vertices + np.tensordot(np.abs(details), detail, axes=1)
    vertices = vertices.astype(np.float32)
    _refit_mouth(model, vertices)
    _close_lips(model, vertices)
    left = vertices[model.part_vertices(LEFT_EYE)].mean(axis=0)
    right = vertices[model.part_vertices(RIGHT_EYE)].mean(axis=0)
    ears = vertices[_ear_vertices(model)].mean(axis=0)
    middle = (left + right) / 2
    origin = np.array([middle[0], middle[1], ears[2]], np.float32)
    scale = EYE_DISTANCE / abs(float(left[0] - right[0]))
    return HeadShape(((vertices - origin) * np.float32(scale)).astype(np.float32), scale)


def _ear_vertices(model: FaceModel) -> Int32[np.ndarray, " E"]:
    """Vertices that the shape axis ear-wing moves by more than a millimetre."""
    wing = model.detail_deltas[model.detail_names.index("ear-wing")]
    return np.flatnonzero(np.abs(wing).max(axis=(0, 2)) > 0.001).astype(np.int32)


def _refit_mouth(model: FaceModel, vertices: Float32[np.ndarray, "V 3"]) -> None:
    """Make teeth and tongue narrower and set them back, in place (metres, y down, z to back)."""
    teeth = model.part_vertices(UPPER_TEETH, LOWER_TEETH)
    back = vertices[teeth, 2].max()
    vertices[teeth, 0] *= TEETH_WIDTH
    vertices[teeth, 2] = back + (vertices[teeth, 2] - back) * TEETH_DEPTH + TEETH_BACK * DECIMETRE
    vertices[model.part_vertices(UPPER_TEETH), 1] += UPPER_TEETH_DOWN * DECIMETRE
    tongue = model.part_vertices(TONGUE)
    vertices[tongue, 0] *= TONGUE_WIDTH
    vertices[tongue, 2] += TONGUE_BACK * DECIMETRE


def _lip_vertices(model: FaceModel) -> tuple[Int32[np.ndarray, " U"], Int32[np.ndarray, " L"]]:
    """Vertices of the upper and of the lower lip: the jaw carries the lower one."""
    width, low, high, front = MOUTH_BOX
    base = model.base_vertices
    box = (
        (np.abs(base[:, 0]) < width)
        & (base[:, 1] > low)
        & (base[:, 1] < high)
        & (base[:, 2] > front)
    )
    body = np.zeros(len(base), bool)
    body[model.part_vertices(BODY)] = True
    jaw = model.expression_deltas[model.expression_names.index("jawOpen")][:, 1]
    carried = jaw > 0.4 * jaw[box].max()
    return (
        np.flatnonzero(box & body & ~carried).astype(np.int32),
        np.flatnonzero(box & body & carried).astype(np.int32),
    )


def _close_lips(model: FaceModel, vertices: Float32[np.ndarray, "V 3"]) -> None:
    """Move both lips by half the gap between them: a neutral mouth shows no teeth; in place.

    The lips of the base mesh touch deep inside but leave an open notch in front; the gap is the one
    between the inner lip landmarks (what is seen), and the move fades with the distance from it.
    """
    points = model.on_surface(vertices)
    above, below = points[list(INNER_UPPER_LIP)], points[list(INNER_LOWER_LIP)]
    columns = (above[:, 0] + below[:, 0]) / 2
    gap = below[:, 1] - above[:, 1] + LIP_OVERLAP
    height = (below[:, 1] + above[:, 1]) / 2
    for index, sign in zip(_lip_vertices(model), (1.0, -1.0)):
        x, y = vertices[index, 0], vertices[index, 1]
        opening = np.interp(x, columns, gap)
        fade = np.clip(1 - np.abs(y - np.interp(x, columns, height)) / LIP_REACH, 0, 1)
        beyond = np.clip(np.abs(x) - columns[-1], 0, None)
        corner = np.clip(1 - beyond / CORNER_REACH, 0, 1)
        vertices[index, 1] += (sign * 0.5 * opening * fade * corner).astype(np.float32)


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError) as error:
        raise ArtifactError(
            f"{path}: not readable ({error}); reinstall the package or run rule build_face_model"
        ) from error


def model_files() -> list[Path]:
    """The packaged data files."""
    return [DATA / "face_model.npz", DATA / "landmarks478.npz"]


@cache
def load_face_model() -> FaceModel:
    """Read the packaged face model once; every caller shares the arrays and must not write to them.

    Raises:
        ArtifactError: the data files are missing or broken.
    """
    raw, landmarks = (_read_arrays(path) for path in model_files())
    names = tuple(str(n) for n in raw["expression_names"])
    gain = np.array([BROW_GAIN if n.startswith("brow") else 1.0 for n in names], np.float32)
    metres = AXES * np.float32(DECIMETRE)
    loose = FaceModel(
        vertices=raw["base_vertices"] * metres,
        triangles=raw["triangles"],
        uv=raw["uv"],
        part=raw["part"],
        scale=1.0,
        expression_deltas=raw["expression_deltas"].astype(np.float32)
        * (metres * gain[:, None, None]),
        expression_names=names,
        macro_deltas=raw["macro_deltas"].astype(np.float32) * metres,
        macro_names=tuple(str(n) for n in raw["macro_names"]),
        detail_deltas=raw["detail_deltas"].astype(np.float32) * metres,
        detail_names=tuple(str(n) for n in raw["detail_names"]),
        base_vertices=raw["base_vertices"],
        masks={k.removeprefix("mask_"): raw[k] for k in sorted(raw) if k.startswith("mask_")},
        landmark_triangles=landmarks["triangles"].astype(np.int32),
        landmark_barycentrics=landmarks["barycentrics"],
    )
    return _with_average_person(loose)


def _with_average_person(loose: FaceModel) -> FaceModel:
    """The same model with the average person's head as its vertices."""
    average = macro_weights(loose.macro_names, *AVERAGE_PERSON)
    shape = shape_head(loose, average, np.zeros(len(loose.detail_names), np.float32))
    return dataclasses.replace(
        loose,
        vertices=shape.vertices,
        scale=shape.scale,
        expression_deltas=loose.expression_deltas * np.float32(shape.scale),
    )


def landmark_basis() -> tuple[
    Float32[np.ndarray, "478 3"], Float32[np.ndarray, "52 478 3"], tuple[str, ...]
]:
    """The linear model of FaceMesh's 478 points: what a tracker fits.

    Returns:
        neutral [478,3] of the average person, deltas [52,478,3] at weight 1 (both metres, world
        axes), names of the 52 weights.
    """
    model = load_face_model()
    return (
        model.on_surface(model.vertices),
        model.on_surface(model.expression_deltas),
        model.expression_names,
    )


def landmark_identity_basis() -> tuple[Float32[np.ndarray, "K 478 3"], tuple[str, ...]]:
    """Linear axes of identity at the 478 points around the average person, metres at weight 1.

    The first axes are sex, age, african, asian; then the upper ends of the axes of detail.
    Weight is left out: it moves the body, not the face. Heads are scaled and centred as
    `shape_head` does it.
    """
    model = load_face_model()
    thirds = (1 / 3, 1 / 3, 1 / 3)
    none = np.zeros(len(model.detail_names), np.float32)
    average = macro_weights(model.macro_names, *AVERAGE_PERSON)
    steps = {
        "male": (thirds, 1.0, 0.25, 0.0),
        "old": (thirds, 0.5, 1.0, 0.0),
        "african": ((1.0, 0.0, 0.0), 0.5, 0.25, 0.0),
        "asian": ((0.0, 1.0, 0.0), 0.5, 0.25, 0.0),
    }
    heads = [shape_head(model, macro_weights(model.macro_names, *s), none) for s in steps.values()]
    for axis in range(len(model.detail_names)):
        one = none.copy()
        one[axis] = 1.0
        heads.append(shape_head(model, average, one))
    deltas = [model.on_surface(head.vertices - model.vertices) for head in heads]
    return np.stack(deltas).astype(np.float32), (*steps, *model.detail_names)
