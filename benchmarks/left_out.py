"""How the face stage says lips whose sound it did not learn: parts of a clip left out in turn.

    python -m benchmarks.left_out results/markey --config config.yaml \
        [--parts 6] [--only 1 3] [--warm-start] [--set steps=3400 audio_noise=0.25]

The test part of a clip of some seconds is too short to choose by. Every part in turn teaches
nothing, nor do the frames within a quarter of a second of it whose sound windows reach into it.
Per part: share of the lip points' motion that is explained, as it is and about the means of both
(poses leave an offset); r of the lip gap and its amplitude over the tracked one's; PSNR, dB, of the
head over the true inside of the mouth. The sync loss asks an expert that was adapted without the
part. `--warm-start` ends before anything is drawn (a minute a part; PSNR is then left out).
"""

from __future__ import annotations

import argparse
import json
import logging
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
import yaml
from jaxtyping import Bool, Int

from emotalk_core.avatar.methods import get_method
from emotalk_core.config import checked_config
from emotalk_core.media.audio import read_audio
from emotalk_core.speech.sync.experts import (
    LOSS_ID,
    SubjectExpert,
    general_expert,
    save_subject_expert,
)
from emotalk_core.speech.sync.lip_shapes import as_shapes
from emotalk_core.speech.sync.sounds import LOGMEL, hear
from emotalk_core.speech.sync.training import SHORTEST, SyncClip, SyncTraining, train_expert
from emotalk_core.training.inputs import Clip, ClipPaths, read_clip
from emotalk_core.training.layers.face import FaceLayer, lip_gap
from emotalk_core.training.loop import Loop, Run
from emotalk_core.training.prepare import Job, Prepared, SyncPaths, prepare
from emotalk_core.training.sampling import Sample
from emotalk_core.training.settings import TrainingSettings
from emotalk_core.training.sync_expert import USUAL_DISTANCE, SyncSettings, lip_motion

METHOD = "emotalk_no_emotion"
MARGIN = 8  # frames beside a part: a sound window has four neighbours on either side, and blurs
FILES = {
    "manifest": "manifest.json",
    "video": "video.mkv",
    "track": "track.npz",
    "cameras": "cameras.json",
    "regions": "regions.mkv",
    "alpha": "alpha.mkv",
    "normals": "normals.mkv",
    "torso": "torso.mkv",
    "action_units": "action_units.csv",
    "valence_arousal": "valence_arousal.csv",
    "speech": "speech.npz",
}
NOTHING_DRAWN = {
    "steps": 1,
    "settle_steps": 0,
    "canonical_steps": 0,
    "n_gaussians": 500,
    "lambda_sync": 0.0,
}


@dataclass(frozen=True)
class Score:
    """Of one part; see the module's docstring. `frames` were compared."""

    part: int
    frames: int
    share: float
    share_about_means: float
    lip_r: float
    amplitude: float
    psnr: float | None


def without(clip: Clip, part: Int[np.ndarray, " P"]) -> Clip:
    """The clip, of which a part and its neighbourhood teach nothing and all else may."""
    frames = np.arange(clip.manifest.n_frames)
    apart = np.abs(frames[:, None] - part[[0, -1]]).min(axis=1) > MARGIN
    outside: Bool[np.ndarray, " T"] = apart & ~np.isin(frames, part)
    everything = replace(clip.manifest, n_train=clip.manifest.n_frames - 1)
    return replace(clip, manifest=everything, valid=clip.valid & outside)


def adapt_without(
    track: Path, cameras: Path, audio: Path, clip: Clip, numbers: SyncTraining, seed: int
) -> SubjectExpert:
    """The loss's expert, taught the valid stretches; its distance of true lips is the usual one."""
    motion, _ = lip_motion(track, cameras)
    mean = motion[clip.valid].mean(axis=0)
    sound = hear(read_audio(audio), len(motion), LOGMEL)
    whole = SyncClip(as_shapes(motion - mean), sound)
    edges = np.flatnonzero(np.diff(np.r_[False, clip.valid, False]))
    stretches = [whole.cut(a, b) for a, b in edges.reshape(-1, 2) if b - a >= SHORTEST]
    expert = general_expert(LOGMEL)
    if stretches:
        expert = train_expert(stretches, expert, numbers, seed)
    return SubjectExpert(expert, torch.from_numpy(mean), USUAL_DISTANCE**2)


def train(job: Job, clip: Clip) -> Prepared:
    """The face stage's own loop on a clip; nothing is written."""
    prepared = prepare(job, clip)
    with TemporaryDirectory() as folder:
        Loop(
            Run(
                stage=job.stage,
                layer=prepared.layer,
                phases=prepared.phases,
                pool=prepared.pool,
                settings=job.settings,
                seed=job.seed,
                state=Path(folder) / "state",
                fingerprint="",
                held_out=prepared.held_out,
            )
        ).walk()
    return prepared


def score(prepared: Prepared, number: int, part: Int[np.ndarray, " P"], drawn: bool) -> Score:
    """Measure what was trained on the part's frames that were tracked."""
    layer = prepared.layer
    assert isinstance(layer, FaceLayer)
    layer.module.eval()
    with torch.no_grad():
        predicted, tracked = layer.lip_motion(part)
        errors = [weighted_error(prepared, int(frame)) for frame in part] if drawn else []
    off = predicted - tracked
    variance = (tracked - tracked.mean(dim=0)).square().sum()
    gaps = lip_gap(predicted), lip_gap(tracked)
    return Score(
        part=number,
        frames=len(part),
        share=float(1 - off.square().sum() / variance),
        share_about_means=float(1 - (off - off.mean(dim=0)).square().sum() / variance),
        lip_r=float(torch.corrcoef(torch.stack(gaps))[0, 1]),
        amplitude=float(gaps[0].std() / gaps[1].std()),
        psnr=float(-10 * np.log10(np.mean(errors))) if drawn else None,
    )


def weighted_error(prepared: Prepared, frame: int) -> float:
    """Mean squared error of a drawn frame, weighted as the losses weight it."""
    context = prepared.layer.step(prepared.phases[-1], Sample(frame)).context
    error = (context.image - context.target).square().mean(dim=0) * context.weight
    return float(error.sum() / context.weight.sum())


def run_part(job: Job, clip: Clip, config: dict[str, Any]) -> Prepared:
    """Train on what the clip calls valid."""
    if not job.settings.lambda_sync:
        return train(job, clip)
    adaptation = SyncSettings(**config["sync_expert"])
    numbers = SyncTraining(adaptation.steps, adaptation.batch, adaptation.learning_rate)
    subject = job.paths.manifest.parent
    audio, speech = subject / "audio.wav", subject.parent / "common/speech"
    sounds = tuple(speech / f"{name}.wav" for name in config["driving"]["training"])
    expert = adapt_without(job.paths.track, job.paths.cameras, audio, clip, numbers, job.seed)
    with TemporaryDirectory() as folder:
        file = Path(folder) / "expert.safetensors"
        save_subject_expert(file, expert, {"id": LOSS_ID})
        return train(replace(job, sync=SyncPaths(file, audio, sounds)), clip)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("subject", type=Path, help="folder of a subject, e.g. results/markey")
    parser.add_argument("--config", type=Path, default=Path("config.yaml"))
    parser.add_argument("--parts", type=int, default=6, help="how many the clip is cut into")
    parser.add_argument("--only", type=int, nargs="*", help="numbers of parts, from 0; else all")
    parser.add_argument("--warm-start", action="store_true", help="end before anything is drawn")
    parser.add_argument("--set", nargs="*", default=[], help="training.face keys, KEY=VALUE")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    torch.set_num_threads(1)
    config = checked_config(yaml.safe_load(options.config.read_text(encoding="utf-8")))
    chosen = dict(yaml.safe_load(text.replace("=", ": ", 1)).popitem() for text in options.set)
    nothing = NOTHING_DRAWN if options.warm_start else {}
    settings = TrainingSettings.from_dict({**config["training"]["face"], **chosen, **nothing})
    files = {name: options.subject / file for name, file in FILES.items()}
    job = Job(
        "face", get_method(METHOD), ClipPaths(**files), None, {}, settings, options.seed, 1, "cpu"
    )
    clip = read_clip(job.paths)
    pieces = np.array_split(np.arange(clip.manifest.n_frames), options.parts)
    scores = []
    for number in options.only or range(options.parts):
        rest = without(clip, pieces[number])
        prepared = run_part(job, rest, config)
        seen = pieces[number][clip.valid[pieces[number]]]
        scores.append(score(prepared, number, seen, not options.warm_start))
        prepared.store.close()
        print(scores[-1], flush=True)
    for field in fields(Score)[2:]:
        numbers = [getattr(each, field.name) for each in scores]
        if None not in numbers:
            print(f"mean {field.name}: {np.mean(numbers):.3f}")
    if options.json is not None:
        options.json.write_text(json.dumps([asdict(each) for each in scores], indent=1) + "\n")


if __name__ == "__main__":
    main()
