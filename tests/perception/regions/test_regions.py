from __future__ import annotations

import cv2
import numpy as np
import pytest
from scipy.ndimage import binary_dilation, binary_erosion

from emotalk_core.perception.landmarks import topology as tp
from emotalk_core.perception.parsing.packaged import Placed
from emotalk_core.perception.regions.colours import (
    CLASSES,
    CLOTHES,
    HAIR,
    SKIN,
    fit_colours,
    look_up,
)
from emotalk_core.perception.regions.face import ClipFaces
from emotalk_core.perception.regions.filters import (
    dilate,
    erode,
    guided,
    hanging,
    polygon,
    push_pull,
)
from emotalk_core.perception.regions.labels import find_cavity
from emotalk_core.perception.regions.matting import person_alpha
from emotalk_core.perception.regions.mouth_colours import learn_mouth_colours, near_lips
from emotalk_core.perception.regions.person import _median3
from emotalk_core.perception.regions.plate import Plate, clean_plate
from emotalk_core.perception.teeth.packaged import find_teeth


def canonical_landmarks(size: int = 256) -> np.ndarray:
    points = np.zeros((478, 2))
    points[:468] = tp.canonical_face()[:, :2] * size * 3.3 + size / 2
    points[468:] = points[[159] * 5 + [386] * 5]
    return points


@pytest.mark.parametrize("radius", [1.0, 2.5, 9.0])
def test_masks_grow_and_shrink_by_discs(radius: float) -> None:
    rng = np.random.default_rng(5)
    rows, columns = np.mgrid[:40, :50]
    reach = int(radius)
    disc = np.hypot(*np.mgrid[-reach : reach + 1, -reach : reach + 1]) <= radius
    for mask in (
        (rows - 12) ** 2 + (columns - 20) ** 2 < 60,
        (rows > 31) | (columns < 5),
        rng.random((40, 50)) > 0.95,
        np.ones((40, 50), dtype=bool),
        np.zeros((40, 50), dtype=bool),
    ):
        assert np.array_equal(dilate(mask, radius), binary_dilation(mask, disc))
        assert np.array_equal(erode(mask, radius), binary_erosion(mask, disc, border_value=1))


def test_discs_have_the_radius_they_are_asked_for() -> None:
    mask = np.zeros((21, 21), dtype=bool)
    mask[10, 10] = True
    grown = dilate(mask, 3)
    assert grown[10, 13] and not grown[10, 14] and not grown[13, 13]
    back = erode(grown, 3)
    assert back[10, 10] and back.sum() == 1
    assert erode(np.ones((5, 5), dtype=bool), 2).all()  # the border does not shrink it


def test_polygon_covers_its_own_area() -> None:
    cover = polygon(np.array([[2.0, 2.0], [8.0, 2.0], [8.0, 8.0], [2.0, 8.0]]), (10, 10))
    assert cover[5, 5] == 1 and cover[0, 0] == 0 and cover[5, 9] == 0
    assert cover.sum() == pytest.approx(36, rel=0.05)


def test_hanging_finds_what_has_a_gap_below() -> None:
    mask = np.zeros((12, 2), dtype=bool)
    mask[2:4, 0] = True  # a lock of hair over background
    mask[8:, 0] = True  # the shoulder under it
    mask[2:, 1] = True  # a neck that stands on the picture's end
    found = hanging(mask, 3) & mask
    assert found[2:4, 0].all() and not found[8:, 0].any() and not found[:, 1].any()


def test_push_pull_keeps_what_is_known_and_fills_between() -> None:
    picture = np.zeros((32, 32, 3), np.float32)
    picture[:, :8], picture[:, 24:] = 100, 200
    known = np.zeros((32, 32), np.float32)
    known[:, :8] = known[:, 24:] = 1
    filled = push_pull(picture, known)
    assert np.allclose(filled[:, :8], 100) and np.allclose(filled[:, 24:], 200)
    assert filled[:, 8:24].min() >= 100 and filled[:, 8:24].max() <= 200
    assert filled[16, 10, 0] < filled[16, 21, 0]


def test_guided_filter_is_opencvs_and_much_the_same_on_cells() -> None:
    rng = np.random.default_rng(1)
    rows, columns = np.mgrid[:64, :80]
    guide = np.where(columns + rows // 3 < 50, 60, 170) + rng.normal(0, 4, (64, 80))
    grey = np.clip(guide, 0, 255).astype(np.uint8)
    values = (columns < 46 - rows // 4).astype(np.float32)
    wanted = cv2.ximgproc.guidedFilter(grey, values, 4, 8.0**2)
    assert np.abs(guided(grey, values, 4, 8.0) - wanted).max() < 1e-3
    rough = guided(grey, values, 4, 8.0, step=2)
    assert np.abs(rough - wanted).mean() < 0.03
    assert np.array_equal(rough, guided(grey, values, 4, 8.0, step=2))


def test_median_of_three_drops_a_failed_mask() -> None:
    good, failed = np.full((2, 2), 200, np.uint8), np.zeros((2, 2), np.uint8)
    assert (_median3(good, failed, good) == 200).all()
    assert (_median3(failed, good, failed) == 0).all()


def test_plate_is_the_background_where_it_was_seen() -> None:
    rng = np.random.default_rng(0)
    background = rng.integers(0, 200, (40, 40, 3), dtype=np.uint8)
    frames = np.repeat(background[None], 12, axis=0)
    person = np.zeros((12, 40, 40), np.uint8)
    for i in range(12):  # someone walks through; a column in the middle is always hidden
        left = i * 2
        person[i, :, left : left + 8] = person[i, :, 18:22] = 255
        frames[i][person[i] > 0] = 255
    plate = clean_plate(frames, person, 0.5)
    assert not plate.seen[:, 19:21].any()
    assert plate.seen[:, :10].all()
    assert np.array_equal(plate.picture[plate.seen], background[plate.seen])


def test_colour_model_tells_classes_apart() -> None:
    rng = np.random.default_rng(0)
    means = {"hair": (40, 30, 25), "skin": (210, 160, 140), "clothes": (30, 40, 120)}
    samples = {
        name: np.clip(rng.normal(mean, 6, (500, 3)), 0, 255).astype(np.uint8)
        for name, mean in means.items()
    }
    model = fit_colours(samples, seed=0)
    picture = np.array([[means["hair"], means["skin"], means["clothes"]]], np.uint8)
    posterior = model.posterior(picture)
    assert posterior.shape == (1, 3, len(CLASSES))
    assert posterior[0].argmax(axis=-1).tolist() == [HAIR, SKIN, CLOTHES]
    assert np.allclose(posterior.sum(axis=-1), 1, atol=1e-5)
    again = look_up(model.table, np.array([[[7, 8, 255]]], np.uint8))
    assert np.array_equal(again[0, 0], model.table[0, 1, 31])
    assert np.array_equal(model.table, fit_colours(samples, seed=0).table)


def test_matting_is_clean_away_from_the_rim_and_never_too_thin_in_it() -> None:
    truth = np.zeros((64, 64), np.float32)
    truth[:, :30], truth[:, 30:34] = 1, [0.8, 0.6, 0.4, 0.2]
    plate = Plate(np.full((64, 64, 3), 40, np.uint8), np.ones((64, 64), dtype=bool))
    grey = np.round(truth * 200 + (1 - truth) * 40).astype(np.uint8)
    frame = np.repeat(grey[..., None], 3, axis=-1)
    guess = np.zeros((64, 64), np.uint8)
    guess[:, :26], guess[:, 26:38] = 255, 128
    alpha = person_alpha(frame, guess, plate, unit=1.0)
    assert alpha[:, :20].min() > 0.99 and alpha[:, 45:].max() < 0.01
    rim = (alpha - truth)[10:-10, 28:36]
    assert rim.min() > -0.15 and rim.mean() < 0.25  # clearly different pixels count as person


def test_lips_and_mouths_stay_near_the_landmarks() -> None:
    face = ClipFaces(np.repeat(canonical_landmarks()[None], 9, axis=0), (256, 256))[4]
    chances = np.full((256, 256, 5), 0.2, np.float32)
    kept = near_lips(Placed((slice(0, 256), slice(0, 256)), chances), face)
    assert np.array_equal(kept[..., 0], chances[..., 0])
    lips, inside = kept[..., 1] > 0, kept[..., 3] > 0
    outer = face.ring(tp.OUTER_LIPS) > 0.5
    assert lips[outer].all() and lips.sum() < 2.2 * outer.sum()
    assert inside.any() and not (inside & ~lips).any()


def test_teeth_are_bright_and_pale() -> None:
    frame = np.zeros((20, 20, 3), np.uint8)
    skin, lips, inside = (np.zeros((20, 20), dtype=bool) for _ in range(3))
    skin[:6], lips[6:8], inside[8:14] = True, True, True
    frame[skin], frame[lips] = (200, 150, 130), (180, 80, 90)
    frame[8:11], frame[11:14] = (190, 185, 170), (60, 20, 25)  # teeth over the dark of the mouth
    teeth = find_teeth(frame, inside, lips, skin)
    assert teeth[8:11].all() and not teeth[11:].any() and not teeth[:8].any()


def test_a_clip_is_learned_from_frames_that_show_the_face() -> None:
    points = np.repeat(canonical_landmarks()[None], 9, axis=0)
    faces = ClipFaces(points, (256, 256))
    assert faces.spread(50) == list(range(9)) and faces.spread(3) == [0, 4, 8]
    shown = np.array([0, 0, 0, 1, 1, 0, 1, 1, 1], dtype=bool)  # begins black
    assert ClipFaces(points, (256, 256), shown).spread(3) == [3, 6, 8]
    assert len(ClipFaces(points, (256, 256), np.zeros(9, dtype=bool)).spread(50)) == 9


def test_face_measures_are_in_face_heights() -> None:
    faces = ClipFaces(np.repeat(canonical_landmarks()[None], 9, axis=0), (256, 256))
    face = faces[4]
    chin, forehead = face.exact[tp.CHIN], face.exact[tp.FOREHEAD]
    row, column = int(forehead[1]), int(forehead[0])
    assert face.height == pytest.approx(chin[1] - forehead[1], rel=1e-3)
    assert face.above(chin)[row, column] == pytest.approx(1, abs=0.02)
    assert face.above_ears[row, column] > 0 > face.above_ears[int(chin[1]), int(chin[0])]
    inside = face.jaw_oval > 0.5
    assert (face.jaw_distance[inside] < 0).all() and (face.jaw_distance[~inside] > 0).all()
    grown = dilate(inside, 20.0)
    assert ((face.jaw_distance <= 20) ^ grown).sum() < 0.02 * grown.sum()
    matrix = face.to_canonical
    again = face.exact[:468] @ matrix[:, :2].T + matrix[:, 2]
    assert np.abs(again - tp.canonical_face()[:, :2]).max() < 1e-5


def test_black_in_an_open_mouth_is_neither_tooth_nor_tongue() -> None:
    found = np.array([[0, 1, 1, 2, 3, 3, 4, 4]])
    bright = np.array([[150, 100, 120, 10, 90, 20, 60, 30]], dtype=np.uint8)
    find_cavity(found, np.stack([bright] * 3, axis=-1))
    assert found.tolist() == [[0, 1, 1, 2, 3, 2, 4, 2]]
    found = np.array([[0, 3]])
    find_cavity(found, np.zeros((1, 2, 3), np.uint8))  # no lips: nothing to compare with
    assert found.tolist() == [[0, 3]]


def test_a_clips_own_colours_tell_shaded_teeth_from_tongue() -> None:
    classes = np.repeat([0, 1, 3, 4], 100).reshape(20, 20)  # skin, lips, teeth, tongue
    palette = np.zeros((5, 3), np.uint8)
    palette[[0, 1, 3, 4]] = (200, 160, 140), (180, 90, 90), (150, 148, 140), (120, 60, 66)
    chances = np.full((20, 20, 5), 0.025, np.float32)
    np.put_along_axis(chances, classes[..., None], 0.9, axis=-1)
    colours = learn_mouth_colours([(chances, palette[classes])])
    assert colours is not None
    unsure = np.zeros((1, 3, 5), np.float32)
    unsure[0, :2, 3:], unsure[0, 2, 0] = (0.45, 0.55), 1  # leans to a tongue; surely no mouth
    seen = colours.weigh(unsure, np.stack([palette[[3, 4, 3]]]))
    assert seen.argmax(axis=-1).tolist() == [[3, 4, 0]]
    assert learn_mouth_colours([(unsure, np.stack([palette[[3, 4, 3]]]))]) is None  # too little
