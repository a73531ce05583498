"""PSNR, SSIM, sharpness and flicker against hand-worked cases and two libraries."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torchmetrics.functional.image import structural_similarity_index_measure

from emotalk_core.evaluation.metrics.base import FrameEvidence
from emotalk_core.evaluation.metrics.psnr import psnr
from emotalk_core.evaluation.metrics.pyramid_distance import (
    FLOOR,
    normalised_contrasts,
    pyramid_distance,
)
from emotalk_core.evaluation.metrics.registry import load_metrics
from emotalk_core.evaluation.metrics.ssim import BORDER, ssim, ssim_map


def pictures(seed: int = 0, size: tuple[int, int] = (48, 56)) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    truth = generator.integers(0, 256, (*size, 3)).astype(np.uint8)
    noise = generator.normal(0, 25, truth.shape)
    return np.clip(truth + noise, 0, 255).astype(np.uint8), truth


def test_psnr_of_one_grey_level_everywhere_is_48_13_db() -> None:
    truth = np.full((4, 5, 3), 100, np.uint8)
    assert psnr(truth + np.uint8(1), truth) == pytest.approx(20 * math.log10(255), abs=1e-12)


def test_psnr_of_equal_pictures_is_infinite_and_of_an_empty_mask_undefined() -> None:
    truth = np.zeros((4, 4, 3), np.uint8)
    assert psnr(truth, truth) == math.inf
    assert math.isnan(psnr(truth, truth, np.zeros((4, 4), bool)))


def test_psnr_reads_masked_pixels_only() -> None:
    truth = np.zeros((2, 2, 3), np.uint8)
    render = truth.copy()
    render[0, 0] = 51  # one of two masked pixels is off by 0.2 in all channels
    mask = np.array([[True, True], [False, False]])
    assert psnr(render, truth, mask) == pytest.approx(-10 * math.log10(0.04 / 2))


def test_psnr_equals_skimage() -> None:
    render, truth = pictures()
    assert psnr(render, truth) == pytest.approx(peak_signal_noise_ratio(truth, render), abs=1e-9)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_ssim_equals_skimage_and_torchmetrics(seed: int) -> None:
    render, truth = pictures(seed)
    mine = ssim(render, truth)
    skimage = structural_similarity(
        truth / 255.0,
        render / 255.0,
        channel_axis=2,
        data_range=1.0,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )
    tensors = [
        torch.from_numpy(p.astype(np.float64) / 255).permute(2, 0, 1)[None] for p in (render, truth)
    ]
    # torchmetrics averages over mirrored borders too: its map is compared where windows are whole
    _, full = structural_similarity_index_measure(*tensors, data_range=1.0, return_full_image=True)
    torch_value = full[..., BORDER:-BORDER, BORDER:-BORDER].mean()
    assert mine == pytest.approx(skimage, abs=1e-5)
    assert mine == pytest.approx(float(torch_value), abs=1e-5)


def test_ssim_of_two_flat_pictures_is_the_luminance_term() -> None:
    a, b = np.full((32, 32, 3), 51, np.uint8), np.full((32, 32, 3), 102, np.uint8)
    wanted = (2 * 0.2 * 0.4 + 1e-4) / (0.2**2 + 0.4**2 + 1e-4)
    assert ssim(a, b) == pytest.approx(wanted, abs=1e-9)


def test_ssim_in_a_mask_is_the_mean_of_the_map_there() -> None:
    render, truth = pictures()
    mask = np.zeros(truth.shape[:2], bool)
    mask[20:24, 20:30] = True
    inside = ssim_map(render, truth)[20 - BORDER : 24 - BORDER, 20 - BORDER : 30 - BORDER]
    assert ssim(render, truth, mask) == pytest.approx(inside.mean(), abs=1e-12)
    assert math.isnan(ssim(render, truth, np.zeros_like(mask)))


def test_a_blurred_picture_is_less_sharp_and_an_equal_one_exactly_one() -> None:
    metric = load_metrics()["sharpness"]
    _, truth = pictures(size=(32, 32))
    whole = np.ones((32, 32), bool)
    flat = np.full_like(truth, 128)
    same = FrameEvidence("c", truth, truth, whole, whole)
    dead = FrameEvidence("c", flat, truth, whole, whole)
    assert metric.reduce(np.array([metric.terms(same)])) == pytest.approx(1.0)
    assert metric.reduce(np.array([metric.terms(dead)])) == 0.0


def test_sharpness_of_a_single_dot_is_worked_by_hand() -> None:
    metric = load_metrics()["sharpness"]
    truth = np.zeros((9, 9, 3), np.uint8)
    truth[4, 4] = 10
    whole = np.ones((9, 9), bool)
    energy = metric.terms(FrameEvidence("c", truth, truth, whole, whole))[1]
    assert energy == pytest.approx((40**2 + 4 * 10**2) / 81)  # -4x in the middle, 1x at four sides


def test_flicker_ignores_motion_that_the_truth_has_too() -> None:
    metric = load_metrics()["flicker"]
    whole = np.ones((4, 4), bool)

    def level(value: int) -> np.ndarray:
        return np.full((4, 4, 3), value, np.uint8)

    first = FrameEvidence("c", level(10), level(20), whole)
    steady = FrameEvidence("c", level(15), level(25), whole, before=(first,))
    jumping = FrameEvidence("c", level(18), level(25), whole, before=(first,))
    assert metric.terms(first) is None
    assert metric.terms(steady) == (0.0,)
    assert metric.terms(jumping) == (3.0,)


def test_neck_seam_counts_only_edges_that_the_source_lacks() -> None:
    metric = load_metrics()["neck_seam"]
    truth = np.full((16, 16, 3), 100, np.uint8)
    truth[:, 8:] = 140  # an edge that both have: no seam
    band = np.zeros((16, 16), bool)
    band[6:10] = True
    render = truth.copy()
    render[8:] += 20  # a step of 20 levels: central differences give 10 in rows 7 and 8
    value = metric.terms(FrameEvidence("c", render, truth, seam=band))[0]
    # beside the upright edge (columns 7, 8: strength 20) the length grows by less
    excess = (14 * 10 + 2 * (np.hypot(10, 20) - 20)) / 16
    assert value == pytest.approx(excess / 2)
    assert metric.terms(FrameEvidence("c", truth, truth, seam=band)) == (0.0,)
    assert metric.terms(FrameEvidence("c", truth, truth, seam=np.zeros_like(band))) is None
    moved = np.roll(truth, 2, axis=1)  # the same edge elsewhere
    soft = cv2.GaussianBlur(render, (0, 0), 2.0)
    for other in (moved[:, 2:], soft[:, 2:]):
        pair = FrameEvidence("c", other, render[:, 2:], seam=band[:, 2:])
        assert metric.terms(pair) == (0.0,)


def test_pyramid_distance_by_hand_on_a_checkerboard() -> None:
    """Contrast c of one scale against flat grey: c / (c + floor) at that scale, 0 elsewhere."""
    board = (np.indices((64, 64)).sum(axis=0) % 2 * 40 + 100).astype(np.uint8)
    board = np.repeat(board[:, :, None], 3, axis=2)
    flat = np.full_like(board, 120)
    contrast = 20 / 255
    levels = normalised_contrasts(board)
    assert len(levels) == 3  # 64, 32, 16 px
    inner = np.abs(levels[0][8:-8, 8:-8])
    assert inner == pytest.approx(contrast / (contrast + FLOOR), abs=1e-6)
    assert np.abs(levels[1][4:-4, 4:-4]).max() < 1e-9
    wanted = contrast / (contrast + FLOOR) / 3
    assert pyramid_distance(board, flat) == pytest.approx(wanted, rel=0.05)  # mirrored border
    assert pyramid_distance(board, board) == 0


def test_pyramid_distance_sees_blur_that_psnr_forgives_and_forgives_a_shade() -> None:
    _, truth = pictures(size=(64, 64))
    truth = cv2.GaussianBlur(truth, (0, 0), 1.0)
    blurred = cv2.GaussianBlur(truth, (0, 0), 1.5)
    error = np.abs(blurred.astype(int) - truth).mean()
    shaded = np.clip(truth.astype(int) + round(error), 0, 255).astype(np.uint8)
    assert psnr(shaded, truth) == pytest.approx(psnr(blurred, truth), abs=4)
    assert pyramid_distance(blurred, truth) > 5 * pyramid_distance(shaded, truth)
