"""One training stage of a subject's avatar: artifacts and checkpoints in, a checkpoint out."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

import torch

from emotalk_core.avatar.checkpoint import build_face, load_parts, save_parts
from emotalk_core.avatar.methods import STAGES, get_method
from emotalk_core.code_version import code_version
from emotalk_core.errors import ConfigError, explain
from emotalk_core.media.atomic import sha256_file
from emotalk_core.training.inputs import Clip, ClipPaths
from emotalk_core.training.loop import Loop, Run
from emotalk_core.training.prepare import Job, SyncPaths, prepare
from emotalk_core.training.preview import preview_samples, preview_strip
from emotalk_core.training.settings import TrainingSettings
from emotalk_core.training.state import fingerprint

logger = logging.getLogger(__name__)

# Settings that change the speed but no number.
SPEED_ONLY = ("cache_mib", "save_every_seconds")


def train_stage(
    *,
    stage: str,
    method: str,
    manifest: Path,
    video: Path,
    track: Path,
    cameras: Path,
    regions: Path,
    alpha: Path,
    normals: Path,
    torso: Path,
    action_units: Path,
    valence_arousal: Path,
    speech: Path,
    bank: Mapping[str, Path] | None,
    previous: Mapping[str, Path],
    output: Path,
    state: Path,
    settings: TrainingSettings,
    seed: int,
    threads: int,
    device: str,
    sync: SyncPaths | None = None,
    log_folder: Path | None = None,
) -> None:
    """Train one stage and write its checkpoint; continues from `state` where that fits.

    Paths are those of docs/artifacts.md. `stage` is "mouth", "face", "emotion" or "avatar" (border
    fix); `method` a name in avatar/methods.toml: a stage that it does not have hands the parts of
    the earlier stage on unchanged. `bank` (frames, regions, normals, index) is read by the emotion
    stage only. `previous` maps stage names to the checkpoints that this one builds on. `state` is
    the file of an interrupted run's state; it is removed at the end. `sync` is what the sync loss
    reads; stages and methods without one take none. `log_folder` gets
    TensorBoard's event file, which is no part of the result.

    Raises:
        ConfigError: unknown stage or method.
        ArtifactError: an input is broken or has another number of frames.
        NumericalError: NaN, a dead or diverging loss, empty masks.
    """
    paths = ClipPaths(
        manifest=manifest,
        video=video,
        track=track,
        cameras=cameras,
        regions=regions,
        alpha=alpha,
        normals=normals,
        torso=torso,
        action_units=action_units,
        valence_arousal=valence_arousal,
        speech=speech,
    )
    if stage not in STAGES:
        raise ConfigError(explain("stage", stage, f"wanted one of {STAGES}", "correct the rule"))
    job = Job(
        stage, get_method(method), paths, bank, previous, settings, seed, threads, device, sync
    )
    if stage not in job.method.stages:
        pass_on(job, output)
        return
    torch.set_num_threads(threads)
    prepared = prepare(job)
    run = fingerprint(
        {
            "settings": {k: v for k, v in settings.to_dict().items() if k not in SPEED_ONLY},
            "seed": seed,
            "method": method,
            "stage": stage,
            "threads": threads,
            "device": device,
            "code": code_version("training.stage"),
            "sync_loss": prepared.sync_judge,
        },
        job.input_files(),
    )
    Loop(
        Run(
            stage=stage,
            layer=prepared.layer,
            phases=prepared.phases,
            pool=prepared.pool,
            settings=settings,
            seed=seed,
            state=Path(state),
            fingerprint=run,
            held_out=prepared.held_out,
            nearest_psnr=prepared.nearest_psnr,
            log_folder=log_folder,
        )
    ).walk()
    samples = preview_samples(prepared.pool, prepared.held_out)
    strip = preview_strip(prepared.layer, prepared.phases[-1], samples)
    prepared.store.close()
    header = checkpoint_header(job, prepared.clip, prepared.sync_judge)
    header["previews"] = {**earlier_previews(job), stage: strip}
    save_parts(output, prepared.parts, header)


def pass_on(job: Job, output: Path) -> None:
    """Write the face part of the latest earlier stage under this stage's name."""
    tensors, header = load_parts(job.needed("face"))
    model = build_face(tensors, header["feature_dim"], job.method, job.compute)
    logger.info("method %s has no stage %s: the face part is handed on", job.method.name, job.stage)
    save_parts(output, {"face": model}, {**header, "stage": job.stage})


def earlier_previews(job: Job) -> dict[str, str]:
    """Strips of the stages that this one builds on, by stage (`training.preview`)."""
    found: dict[str, str] = {}
    for path in job.built_on():
        found |= load_parts([path])[1].get("previews", {})
    return found


def checkpoint_header(job: Job, clip: Clip, sync_judge: str) -> dict:
    """Facts that a reader of the checkpoint needs, and where it came from."""
    return {
        "method": job.method.name,
        "stage": job.stage,
        "feature_dim": clip.feature_dim,
        "extractor": clip.extractor,
        "width": clip.manifest.width,
        "height": clip.manifest.height,
        "subject": clip.manifest.subject,
        "source_sha256": clip.manifest.source_sha256,
        "settings": job.settings.to_dict(),
        "sync_loss": sync_judge,
        "seed": job.seed,
        "code_version": code_version("training.stage"),
        "parents": {name: sha256_file(path) for name, path in sorted(job.previous.items())},
    }
