from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from emotalk_core.actor.face_model import landmark_basis
from emotalk_core.errors import InputError
from emotalk_core.media.tables import read_table, write_arrays, write_manifest
from emotalk_core.perception.action_units.openface import read_openface
from emotalk_core.perception.action_units.packaged import ACTION_UNITS, action_units, eye_closure
from emotalk_core.perception.action_units.settings import ActionUnitSettings
from emotalk_core.perception.action_units.stage import measure_action_units
from emotalk_core.types.manifest import Manifest

FRAMES = 100


def openface_table(rows: int, space: str = " ", fps: float = 25.0) -> pd.DataFrame:
    columns: dict[str, np.ndarray] = {"frame": np.arange(1, rows + 1)}
    columns[f"{space}timestamp"] = np.arange(rows) / fps
    columns[f"{space}success"] = np.ones(rows, int)
    for k, unit in enumerate(ACTION_UNITS):
        columns[f"{space}{unit}_r"] = np.linspace(0, 1 + k * 0.2, rows)
    return pd.DataFrame(columns)


def measure(values: dict[str, float]) -> dict[str, float]:
    _, _, names = landmark_basis()
    expression = np.zeros((10, 52))
    for name, value in values.items():
        expression[:, names.index(name)] = value
    units = action_units(expression, names, np.full(10, 0.05), np.full(10, 0.1))
    return dict(zip(ACTION_UNITS, units[0].tolist()))


def test_table_worked_by_hand() -> None:
    units = measure({"mouthSmileLeft": 0.5, "mouthSmileRight": 0.3, "jawOpen": 1.0})
    assert units["AU12"] == pytest.approx(5 * 1.2 * 0.4)
    assert units["AU26"] == 5.0  # 1.6 is cut at the scale's end
    assert units["AU25"] == pytest.approx(5 * 0.05 / 0.25)
    assert units["AU45"] == 0 and units["AU04"] == 0
    assert tuple(units) == ACTION_UNITS and len(units) == 17


def test_blink_is_read_against_the_persons_own_open_eyes() -> None:
    openings = np.full(50, 0.08)
    openings[20:22] = [0.016, 0.048]
    closed = eye_closure(openings)
    assert closed[0] == pytest.approx(0, abs=1e-9)
    assert closed[20] == pytest.approx(1) and closed[21] == pytest.approx(0.5)


@pytest.mark.parametrize("space", ["", " "])
def test_openface_tables_with_and_without_spaces_are_read(tmp_path: Path, space: str) -> None:
    openface_table(FRAMES, space).to_csv(tmp_path / "au.csv", index=False)
    values, valid = read_openface(tmp_path / "au.csv", FRAMES)
    assert valid.all() and values.shape == (FRAMES, 17)
    assert values[-1, 0] == pytest.approx(1)


def test_openface_at_30_fps_is_brought_to_25(tmp_path: Path) -> None:
    openface_table(120, fps=30.0).to_csv(tmp_path / "au.csv", index=False)
    values, valid = read_openface(tmp_path / "au.csv", FRAMES)
    assert valid.all()
    assert values[50, 0] == pytest.approx(60 / 119, abs=1e-3)  # both stand at 2.0 s


def test_openface_gaps_are_interpolated_and_marked(tmp_path: Path) -> None:
    table = openface_table(FRAMES)
    table.loc[40:42, " success"] = 0
    table.drop(index=[60, 61]).to_csv(tmp_path / "au.csv", index=False)
    values, valid = read_openface(tmp_path / "au.csv", FRAMES)
    assert np.flatnonzero(~valid).tolist() == [40, 41, 42, 60, 61]
    assert values[41, 0] == pytest.approx(41 / 99, abs=1e-6)


def test_openface_of_another_clip_or_kind_is_refused(tmp_path: Path) -> None:
    openface_table(60).to_csv(tmp_path / "short.csv", index=False)
    with pytest.raises(InputError, match=r"covers 2\.40 s, the clip has 4\.00 s"):
        read_openface(tmp_path / "short.csv", FRAMES)
    openface_table(FRAMES).drop(columns=" AU45_r").to_csv(tmp_path / "less.csv", index=False)
    with pytest.raises(InputError, match="AU45_r"):
        read_openface(tmp_path / "less.csv", FRAMES)
    with pytest.raises(InputError, match="no such file"):
        read_openface(tmp_path / "none.csv", FRAMES)


def test_stage_writes_the_contracts_columns(tmp_path: Path) -> None:
    _, _, names = landmark_basis()
    facts = Manifest("a", "a.mp4", "0", 8, 8, FRAMES, 64000, (0, 8, 0, 8), 0.0, 0.0, 90)
    write_manifest(tmp_path / "manifest.json", facts)
    write_arrays(
        tmp_path / "track.npz",
        expression=np.zeros((FRAMES, 52), np.float32),
        expression_names=np.array(names),
        lip_opening=np.zeros(FRAMES, np.float32),
        eye_opening=np.full(FRAMES, 0.1, np.float32),
        valid=np.arange(FRAMES) != 3,
    )
    measure_action_units(
        manifest=tmp_path / "manifest.json",
        track=tmp_path / "track.npz",
        action_units=tmp_path / "action_units.csv",
        settings=ActionUnitSettings(),
    )
    table = read_table(tmp_path / "action_units.csv")
    assert table.columns.tolist() == ["frame", "valid", *ACTION_UNITS]
    assert len(table) == FRAMES and table["valid"].sum() == FRAMES - 1
