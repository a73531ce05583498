"""Gaussian sets as PLY files of the common splat viewers, and back; bytes as gsplat writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from emotalk_core.errors import ArtifactError
from emotalk_core.geometry.spherical_harmonics import sh_size
from emotalk_core.media.atomic import atomic_path
from emotalk_core.types.gaussians import GaussianSet

FORMAT = "binary_little_endian 1.0"
REST_COUNTS = {3 * (sh_size(degree) - 1): degree for degree in range(4)}
# Viewers ignore properties that they do not know; only this project writes the residuals.
RESIDUALS = tuple(f"normal_residual_{i}" for i in range(3))


def _columns(gaussians: GaussianSet) -> dict[str, Tensor]:
    """Property name -> [N] column, in the usual order; bands of a colour lie side by side."""
    rest = gaussians.sh_coeffs[:, 1:].transpose(1, 2).flatten(1)
    blocks = {
        ("x", "y", "z"): gaussians.means,
        tuple(f"f_dc_{i}" for i in range(3)): gaussians.sh_coeffs[:, 0],
        tuple(f"f_rest_{i}" for i in range(rest.shape[1])): rest,
        ("opacity",): gaussians.opacities[:, None],
        tuple(f"scale_{i}" for i in range(3)): gaussians.scales,
        tuple(f"rot_{i}" for i in range(4)): gaussians.quats,
    }
    if gaussians.normal_residuals is not None:
        blocks[RESIDUALS] = gaussians.normal_residuals
    return {name: block[:, i] for names, block in blocks.items() for i, name in enumerate(names)}


def encode_ply(gaussians: GaussianSet) -> bytes:
    """The file's bytes: raw parameters (log scales, logit opacities) as float32."""
    columns = _columns(gaussians)
    header = ["ply", f"format {FORMAT}", f"element vertex {len(gaussians)}"]
    header += [f"property float {name}" for name in columns]
    values = torch.stack(list(columns.values()), dim=-1).detach().cpu().float()
    text = "\n".join([*header, "end_header\n"])
    return text.encode() + values.numpy().astype("<f4").tobytes()


def _header(data: bytes) -> tuple[list[str], int, int]:
    """Property names, number of rows, and where the rows begin.

    Raises:
        ArtifactError: not a PLY of float properties in little-endian binary.
    """
    end = data.find(b"end_header\n")
    lines = data[: max(end, 0)].decode("ascii", "replace").split("\n")
    if end < 0 or lines[0] != "ply" or f"format {FORMAT}" not in lines:
        raise ArtifactError(f"not a PLY file in format {FORMAT}; export it again as binary PLY")
    words = [line.split() for line in lines]
    elements = [w for w in words if w[:1] == ["element"]]
    properties = [w for w in words if w[:1] == ["property"]]
    others = [w[-1] for w in properties if w[1:2] not in (["float"], ["float32"])]
    if [w[1] for w in elements] != ["vertex"] or others:
        raise ArtifactError(
            f"PLY elements={[w[1] for w in elements]}, non-float properties={others}: wanted one "
            "element vertex of floats; export it uncompressed"
        )
    return [w[2] for w in properties], int(elements[0][2]), end + len(b"end_header\n")


def decode_ply(data: bytes) -> GaussianSet:
    """Inverse of `encode_ply`; properties may stand in any order, unknown ones are ignored.

    Raises:
        ArtifactError: not such a file, a property is missing, or the file is cut off.
    """
    names, count, start = _header(data)
    size = 4 * len(names) * count
    if len(data) - start < size:
        raise ArtifactError(f"PLY of {len(data)} bytes: {start + size} announced; copy it again")
    table = np.frombuffer(data, "<f4", len(names) * count, start).reshape(count, len(names))
    column = {name: torch.from_numpy(table[:, i].copy()) for i, name in enumerate(names)}
    rest = sum(name.startswith("f_rest_") for name in names)
    wanted = [*_columns(_empty(0)), *(f"f_rest_{i}" for i in range(rest))]
    missing = [name for name in wanted if name not in column]
    if missing or rest not in REST_COUNTS:
        raise ArtifactError(
            f"PLY properties={names}: missing {missing}, {rest} f_rest (wanted one of "
            f"{sorted(REST_COUNTS)}); export it from a Gaussian splatting tool"
        )

    def block(*parts: str) -> Tensor:
        return torch.stack([column[name] for name in parts], dim=-1)

    bands = [block("f_dc_0", "f_dc_1", "f_dc_2")[:, None]]
    if rest:
        tail = block(*(f"f_rest_{i}" for i in range(rest)))
        bands.append(tail.reshape(count, 3, rest // 3).transpose(1, 2))
    return GaussianSet(
        means=block("x", "y", "z"),
        quats=block("rot_0", "rot_1", "rot_2", "rot_3"),
        scales=block("scale_0", "scale_1", "scale_2"),
        opacities=column["opacity"],
        sh_coeffs=torch.cat(bands, dim=1).contiguous(),
        normal_residuals=block(*RESIDUALS) if set(RESIDUALS) <= set(names) else None,
    )


def _empty(count: int) -> GaussianSet:
    return GaussianSet(
        means=torch.zeros(count, 3),
        quats=torch.zeros(count, 4),
        scales=torch.zeros(count, 3),
        opacities=torch.zeros(count),
        sh_coeffs=torch.zeros(count, 1, 3),
    )


def save_ply(path: Path, gaussians: GaussianSet) -> None:
    """Write a PLY file, whole or not at all."""
    with atomic_path(Path(path)) as temporary:
        temporary.write_bytes(encode_ply(gaussians))


def load_ply(path: Path) -> GaussianSet:
    """Read a PLY file.

    Raises:
        ArtifactError: the file is absent or is not a splat PLY (names the file).
    """
    try:
        return decode_ply(Path(path).read_bytes())
    except OSError as error:
        raise ArtifactError(f"{path}: not readable ({error.strerror}); check the path") from error
    except ArtifactError as error:
        raise ArtifactError(f"{path}: {error}") from error
