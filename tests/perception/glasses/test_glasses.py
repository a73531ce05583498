"""Glasses are found where they are worn, taken off without touching the rest, and put back."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

import cv2
import numpy as np
import pytest

from emotalk_core.actor.identity import NO_GLASSES, random_identity
from emotalk_core.actor.performance import ActorSettings, perform
from emotalk_core.actor.renderer import Actor
from emotalk_core.emotion.bank import EmotionalFrame
from emotalk_core.emotion.basis import person_neutral
from emotalk_core.emotion.geometric import GeometricGenerator
from emotalk_core.media.video import VideoWriter
from emotalk_core.perception.glasses.reader import (
    GlassesReader,
    clip_glasses,
    without_glasses_clip,
)
from emotalk_core.perception.glasses.retouch import rim_mask, with_glasses, without_glasses
from emotalk_core.perception.landmarks import create_detector
from emotalk_core.perception.landmarks import topology as tp
from emotalk_core.perception.tracking.clip import ClipLandmarks
from emotalk_core.perception.tracking.stage import behind_glasses

SIZE, FRAMES = 256, 4
SURE = 0.002  # metres by which a frame lies in front of the face


@dataclass(frozen=True)
class Clip:
    frames: list[np.ndarray]
    landmarks: np.ndarray
    rims: list[np.ndarray]  # truth


@cache
def clip(seed: int, glasses: str) -> Clip:
    """A few frames of a person who wears that frame."""
    person = replace(random_identity(seed), glasses=glasses)
    acting = perform(ActorSettings(seed=seed, seconds=2.0, size=SIZE), person)
    worn, bare = Actor(person, SIZE), Actor(replace(person, glasses=NO_GLASSES), SIZE)
    frames, landmarks, rims = [], [], []
    with create_detector(static=True) as detector:
        for index in range(0, 40, 40 // FRAMES):
            shown = acting.expression[index], acting.poses[index]
            seen = worn.render(*shown)
            found = detector.detect(seen.rgb)
            assert found is not None
            frames.append(seen.rgb)
            landmarks.append(found)
            behind = bare.render(*shown).depth
            rims.append((behind - seen.depth > SURE) & (seen.depth > 0))
    return Clip(frames, np.stack(landmarks), rims)


def reader(of: Clip) -> GlassesReader:
    return GlassesReader(zip(of.frames, of.landmarks[:, :, :2].astype(float)))


@pytest.mark.parametrize(("seed", "glasses"), [(41, "round"), (42, "square")])
def test_frames_are_found_where_they_are(seed: int, glasses: str) -> None:
    worn = clip(seed, glasses)
    found = reader(worn)
    assert found.worn
    for frame, points, truth in zip(worn.frames, worn.landmarks[:, :, :2], worn.rims):
        cover = found.cover(frame, points.astype(float))
        assert cover is not None
        seen = cover > 0.5
        assert (seen & truth).sum() > 0.5 * (seen | truth).sum()
        assert rim_mask(cover, points.astype(float))[truth].mean() > 0.97


@pytest.mark.parametrize("seed", [41, 42, 43])
def test_faces_without_glasses_wear_none(seed: int) -> None:
    bare = clip(seed, NO_GLASSES)
    found = reader(bare)
    assert not found.worn and found.area < 30
    assert found.cover(bare.frames[0], bare.landmarks[0, :, :2].astype(float)) is None


def test_no_frame_is_no_glasses() -> None:
    assert not GlassesReader([]).worn


def test_taking_off_and_putting_on_touch_only_the_rims() -> None:
    worn = clip(41, "round")
    frame, points = worn.frames[0], worn.landmarks[0, :, :2].astype(float)
    cover = reader(worn).cover(frame, points)
    assert cover is not None
    rims = rim_mask(cover, points)
    bare = without_glasses(frame, rims)
    assert np.array_equal(bare[rims == 0], frame[rims == 0])
    dark = frame[worn.rims[0]].mean()
    assert bare[worn.rims[0]].mean() > dark + 20  # skin is brighter than this frame
    again = with_glasses(bare, frame, rims, points)
    truth = worn.rims[0]
    assert np.abs(again[truth].astype(int) - frame[truth]).mean() < 6


@pytest.mark.parametrize("point", [(0.7, 0.35), (-0.7, 0.5)])
def test_rims_stay_while_the_face_moves(point: tuple[float, float]) -> None:
    worn = clip(42, "square")
    frame, points = worn.frames[1], worn.landmarks[1, :, :2].astype(float)
    person = person_neutral(worn.landmarks[1].astype(float) / 1e3, points[None], np.array([True]))
    truth = worn.rims[1]
    cover = reader(worn).cover(frame, points)
    kept = EmotionalFrame(GeometricGenerator(), frame, points, cover).at(*point, person)
    bent = EmotionalFrame(GeometricGenerator(), frame, points).at(*point, person)
    changes = [np.abs(f.image[truth].astype(int) - frame[truth]).mean() for f in (kept, bent)]
    assert changes[0] < 0.25 * changes[1]
    assert np.array_equal(kept.landmarks, bent.landmarks)  # the face itself moves as before


def video(path: Path, seed: int) -> Path:
    """That person with square frames, as a file."""
    with VideoWriter(path) as writer:
        for frame in clip(seed, "square").frames:
            writer.write(frame)
    return path


def test_landmarks_are_those_of_the_face_behind(tmp_path: Path) -> None:
    every = np.ones(FRAMES, bool)
    brows = list({*tp.RIGHT_BROW, *tp.LEFT_BROW})
    errors = []  # of people: one person's brows may lie where the frame hides nothing of them
    for seed in (41, 42, 43, 44):
        worn, bare = clip(seed, "square"), clip(seed, NO_GLASSES)
        seen = ClipLandmarks(worn.landmarks.astype(float), every, ("",) * FRAMES)
        path = video(tmp_path / f"{seed}.mkv", seed)
        glasses = clip_glasses(path, seen.points, every)
        found = behind_glasses(
            partial(without_glasses_clip, path, seen.points, glasses), seen, "facemesh"
        )
        assert found.valid.all()
        away = [(points - bare.landmarks)[..., :2] for points in (found.points, worn.landmarks)]
        errors.append([np.linalg.norm(a, axis=2)[:, brows].mean() for a in away])
    behind, in_front = np.mean(errors, axis=0)
    assert behind < 0.75 * in_front


def test_a_clip_is_looked_at_frame_by_frame(tmp_path: Path) -> None:
    worn = clip(42, "square")
    path = video(tmp_path / "square.mkv", 42)
    glasses = clip_glasses(path, worn.landmarks, np.ones(FRAMES, bool))
    bare = list(without_glasses_clip(path, worn.landmarks, glasses))
    assert len(bare) == FRAMES
    for picture, frame, truth in zip(bare, worn.frames, worn.rims):
        assert np.abs(picture[truth].astype(int) - frame[truth]).mean() > 20


def photograph(package: str, file: str) -> np.ndarray:
    """A public domain portrait that a package of the test environment brings along, RGB."""
    found = importlib.util.find_spec(package)
    assert found is not None and found.origin is not None
    picture = cv2.imread(str(Path(found.origin).parent / file))
    assert picture is not None
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)


@pytest.mark.parametrize(
    ("package", "file", "worn"),
    [
        ("matplotlib", "mpl-data/sample_data/grace_hopper.jpg", True),
        ("skimage", "data/astronaut.png", False),
    ],
)
def test_real_people_wear_glasses_or_not(package: str, file: str, worn: bool) -> None:
    picture = photograph(package, file)
    with create_detector(static=True) as detector:
        points = detector.detect(picture)
    assert points is not None
    assert GlassesReader([(picture, points[:, :2].astype(float))]).worn == worn
