"""Stage train_glef: a subject's video and track in, the g_LEF checkpoint and its curves out."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import UInt8

from emotalk_core.code_version import code_version
from emotalk_core.emotion.glef.align import crop_face, crop_transform
from emotalk_core.emotion.glef.checkpoint import GlefHeader, save_glef
from emotalk_core.emotion.glef.model import GlefShape, LipAlignedGenerator
from emotalk_core.emotion.glef.networks import load_networks
from emotalk_core.emotion.glef.settings import GlefSettings
from emotalk_core.errors import InputError
from emotalk_core.media.tables import check_length, read_arrays, read_manifest, write_table
from emotalk_core.media.video import VideoReader, expect_frames
from emotalk_core.training.glef_loop import GlefLoop, read_faces
from emotalk_core.training.state import fingerprint

logger = logging.getLogger(__name__)

SPEED_ONLY = ("save_every_seconds",)


def train_glef(
    *,
    manifest: Path,
    video: Path,
    track: Path,
    output: Path,
    curves: Path,
    state: Path,
    settings: GlefSettings,
    seed: int,
    threads: int,
    device: str,
) -> None:
    """Train E and M_lip and fine-tune StyleGAN2 on a subject's training frames (METHOD 1.4).

    Args:
        manifest: of the subject (docs/artifacts.md), as the next two.
        video: frames.
        track: landmarks.
        output: checkpoint.
        curves: the five losses of every step, not weighted.
        state: of an interrupted run; removed at the end.
        settings: config block `glef`.
        seed: of networks, order and emotions.
        threads: of torch.
        device: of torch.

    Raises:
        WeightsError: published networks are wanted and a file is missing or wrong.
        InputError: the training part has no usable frame.
        NumericalError: a loss is not finite.
    """
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    networks = load_networks(settings.networks).to(device)
    for critic in vars(networks.critics).values():
        if critic.standing_for:
            logger.warning("g_LEF: %s stands in for %s", critic.id, critic.standing_for)
    images = aligned_frames(manifest, video, track, settings.n_frames, networks.shape)
    data = read_faces(networks, images, settings, device)
    model = LipAlignedGenerator(
        networks.generator, networks.emotion, networks.shape, settings.lip_branch
    ).to(device)
    facts = {k: v for k, v in dataclasses.asdict(settings).items() if k not in SPEED_ONLY}
    version = code_version("training.glef_stage")
    run = {"settings": facts, "seed": seed, "threads": threads, "device": device, "code": version}
    loop = GlefLoop(
        model,
        data,
        networks.critics,
        settings,
        seed,
        device,
        state,
        fingerprint(run, {"manifest": manifest, "video": video, "track": track}),
    )
    found = loop.walk()
    table = pd.DataFrame({"step": np.arange(loop.n_steps), **found})
    write_table(curves, table)
    subject = read_manifest(manifest).subject
    header = GlefHeader(settings.networks, settings.lip_branch, subject, facts, seed, version)
    save_glef(output, model, header)


def aligned_frames(
    manifest: Path, video: Path, track: Path, n_frames: int, shape: GlefShape
) -> UInt8[np.ndarray, "N S S 3"]:
    """Aligned crops of valid training frames, spread evenly over the training part.

    Raises:
        ArtifactError: lengths disagree.
        InputError: no frame is usable.
    """
    facts = read_manifest(manifest)
    arrays = read_arrays(track, ("landmarks", "valid"))
    check_length(str(track), len(arrays["landmarks"]), facts.n_frames, "track_head")
    expect_frames(video, facts.n_frames, "ingest")
    usable = np.flatnonzero(arrays["valid"][: facts.n_train])
    if not len(usable):
        raise InputError(f"{track}: no usable frame in the training part; see quality.png")
    places = np.linspace(0, len(usable) - 1, min(n_frames, len(usable))).round().astype(int)
    crops = []
    with VideoReader(video) as frames:
        for index in usable[places].tolist():
            matrix = crop_transform(arrays["landmarks"][index], shape.size, shape.crop_share)
            crops.append(crop_face(frames[index], matrix, shape.size))
    return np.stack(crops)
