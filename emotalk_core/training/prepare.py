"""Builds what a stage's run needs: artifacts and checkpoints in, model, samples, layer out."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32, Int
from scipy.ndimage import distance_transform_edt
from torch import nn

from emotalk_core.avatar.checkpoint import build_face, build_mouth, load_parts
from emotalk_core.avatar.initialise import View, face_gaussians, mouth_gaussians
from emotalk_core.avatar.methods import Method
from emotalk_core.avatar.model import Avatar, Compute, FaceModel, MouthModel, grid_box
from emotalk_core.errors import ArtifactError, NumericalError, explain
from emotalk_core.media.video import expect_frames
from emotalk_core.perception.landmarks.topology import rigid_points
from emotalk_core.training.frames import FrameStore
from emotalk_core.training.inputs import Bank, Clip, ClipPaths, read_bank, read_clip
from emotalk_core.training.layers.base import Layer, Scene
from emotalk_core.training.layers.face import FaceLayer
from emotalk_core.training.layers.full import FullLayer
from emotalk_core.training.layers.mouth import MouthLayer
from emotalk_core.training.sampling import SamplePool
from emotalk_core.training.settings import TrainingSettings
from emotalk_core.training.stages import Phase, load_stages, plan_phases
from emotalk_core.training.sync_judges import LANDMARKS, open_judge
from emotalk_core.training.sync_runs import SyncSource, read_sync_source
from emotalk_core.training.targets import HEAD_ALPHA, TargetReader, inside_mouth, mouth_colour
from emotalk_core.training.teachers import Teachers
from emotalk_core.types.manifest import FPS
from emotalk_core.types.regions import MOUTH, region_mask

logger = logging.getLogger(__name__)

VIDEO_RULES = {
    "video": "ingest",
    "regions": "segment_regions",
    "alpha": "segment_regions",
    "normals": "estimate_normals",
    "torso": "separate_torso",
}
SMALLEST_HEAD = 0.01  # share of the frame: a smaller head mask is an empty one
SMALLEST_MOUTH = 2e-4  # share of the frame (13 px at 256): a smaller mouth is closed
EMPTY_LIMIT = 0.3  # share of training frames that may lack a head mask
MOUTH_VIEWS = 40  # frames whose open mouths give the colour behind the lips of drawn runs
SMALLEST_ERROR = 1e-10  # 100 dB: equal pictures
TEACHERS_SEED = 1_000_003  # added to the job's, so that no teacher starts as the branch does
HAIR_VIEWS = 24  # frames from which hair is back-projected


@dataclass(frozen=True)
class SyncPaths:
    """Files of the sync loss.

    Attributes:
        expert: the subject's landmark expert.
        audio: the subject's own sound.
        sounds: synthesized speech.
        by: who compares lips and sound, config `sync_loss.expert`.
        picture_expert: the subject's pixel expert, for `by` pixels.
    """

    expert: Path
    audio: Path
    sounds: tuple[Path, ...]
    by: str = LANDMARKS
    picture_expert: Path | None = None


@dataclass(frozen=True)
class Job:
    """Arguments of one stage."""

    stage: str
    method: Method
    paths: ClipPaths
    bank: Mapping[str, Path] | None
    previous: Mapping[str, Path]
    settings: TrainingSettings
    seed: int
    threads: int
    device: str
    sync: SyncPaths | None = None

    @property
    def compute(self) -> Compute:
        """How kernels run."""
        return Compute(backend=self.settings.backend, threads=self.threads)

    @property
    def reads_bank(self) -> bool:
        """Whether emotion images are trained on."""
        return self.stage == "emotion"

    def input_files(self) -> dict[str, Path]:
        """Every file that the result depends on."""
        files = {**vars(self.paths), **{f"previous_{k}": v for k, v in self.previous.items()}}
        if self.reads_bank and self.bank is not None:
            files |= {f"bank_{k}": v for k, v in self.bank.items()}
        if self.sync is not None:
            files |= {"sync_expert": self.sync.expert, "audio": self.sync.audio}
            files |= {f"sync_{k}": wav for k, wav in enumerate(self.sync.sounds)}
            if self.sync.picture_expert is not None:
                files["picture_expert"] = self.sync.picture_expert
        return files

    def needed(self, *stages: str) -> list[Path]:
        """Checkpoints of earlier stages, in order.

        Raises:
            ArtifactError: one is not among `previous`.
        """
        missing = [name for name in stages if name not in self.previous]
        if missing:
            raise ArtifactError(
                explain(
                    "previous",
                    sorted(self.previous),
                    f"stage {self.stage} of {self.method.name} wants also {missing}",
                    "train those stages first",
                )
            )
        return [Path(self.previous[name]) for name in stages]

    def built_on(self) -> list[Path]:
        """Checkpoints whose parts this stage goes on with."""
        if self.stage == "emotion":
            return self.needed("face")
        if self.stage == "avatar":
            return self.needed("mouth", "emotion" if "emotion" in self.previous else "face")
        return []


@dataclass(frozen=True)
class Prepared:
    """Everything a run needs, built.

    Attributes:
        held_out: training frame that no step samples.
        sync_judge: who the sync loss asks ("": nobody).
        nearest_psnr: PSNR, dB, of the training frame with the nearest pose in its place, as large
            as the layer draws it; None for the inside of the mouth.
    """

    clip: Clip
    layer: Layer
    phases: tuple[Phase, ...]
    pool: SamplePool
    store: FrameStore
    parts: dict[str, nn.Module]
    held_out: int
    sync_judge: str = ""
    nearest_psnr: float | None = None


def prepare(job: Job, clip: Clip | None = None) -> Prepared:
    """Read inputs, find usable frames and build the model of the stage.

    With a clip it goes before what `job.paths` tell: frames that it calls invalid teach nothing.
    """
    clip = clip or read_clip(job.paths)
    for name, rule in VIDEO_RULES.items():
        expect_frames(getattr(job.paths, name), clip.manifest.n_frames, rule)
    bank = _read_bank(job, clip)
    phases = plan_phases(load_stages()[job.stage], job.settings, job.method)
    with_normals = any(name.startswith("normal") for phase in phases for name in phase.weights)
    store = FrameStore(_videos(job, with_normals), job.settings.cache_mib)
    frames, open_frames = usable_frames(clip, store)
    pool, held_out = _pool(job, clip, bank, frames, open_frames)
    names = [name for name in VIDEO_RULES if name != "normals" or with_normals]
    store.preload(names, [int(frame) for frame in pool.frames])
    device = torch.device(job.device)
    parts = _build(job, clip, store, frames, open_frames)
    for name, part in parts.items():
        if name == "mouth" or job.stage != "avatar":  # there the motion of the face is finished
            set_noise(part, job.settings)
    sync = _sync_source(job, clip, phases)
    scene = Scene(
        clip=clip,
        reader=TargetReader(clip, store, job.settings, device, with_normals),
        bank=bank,
        use_emotion=_uses_emotion(job),
        device=device,
        sync=sync,
        inside=_mouth_inside(store, open_frames) if sync and sync.judge.sees_pictures else None,
        frames=pool.frames,
    )
    nearest = nearest_pose_psnr(clip, store, job.stage, held_out, pool.frames)
    layer, asked = _layer(job, parts, scene), sync.judge.id if sync else ""
    return Prepared(clip, layer, phases, pool, store, parts, held_out, asked, nearest)


def nearest_pose_psnr(
    clip: Clip, store: FrameStore, stage: str, held_out: int, frames: Int[np.ndarray, " F"]
) -> float | None:
    """What `Prepared.nearest_psnr` says: the least that a trained head must be better than.

    Frames within a second of the held-out one are left out: they are almost the same picture.
    """
    far = frames[np.abs(frames - held_out) > FPS]
    if stage == "mouth" or len(far) == 0:
        return None
    points = clip.landmarks[:, list(rigid_points())]
    apart = np.square(points[far] - points[held_out]).sum(axis=(1, 2))
    nearest = int(far[int(np.argmin(apart))])
    seen = np.ones((clip.manifest.height, clip.manifest.width), dtype=bool)
    if load_stages()[stage].layer == "face":
        mask = store.get("alpha", held_out) >= HEAD_ALPHA
        seen = mask.any(axis=1)[:, None] & mask.any(axis=0)[None]
    true, other = (store.get("video", i)[seen].astype(np.float64) for i in (held_out, nearest))
    error = np.square((true - other) / 255.0).mean()
    return float(-10.0 * np.log10(max(error, SMALLEST_ERROR)))


def set_noise(part: nn.Module, settings: TrainingSettings) -> None:
    """Blur what a branch is driven by, so that it cannot learn frames by heart."""
    if not isinstance(part, MouthModel | FaceModel):
        return
    part.audio.noise.std = settings.audio_noise
    part.audio.dropout.p = settings.code_dropout
    if isinstance(part, FaceModel):
        part.unit_noise.std = settings.unit_noise


def _sync_source(job: Job, clip: Clip, phases: tuple[Phase, ...]) -> SyncSource | None:
    """What the sync loss reads, where a phase has one.

    Raises:
        ArtifactError: a phase has one and no expert is given.
    """
    if not any("sync" in phase.weights for phase in phases):
        return None
    if job.sync is None:
        raise ArtifactError(
            explain("sync", None, "wanted a sync expert", "give one, or set lambda_sync to 0")
        )
    judge = open_judge(job.sync.by, job.sync.expert, job.sync.picture_expert)
    logger.info("sync loss by %s", judge.id)
    sounds = (job.sync.audio, job.sync.sounds)
    return read_sync_source(judge, *sounds, clip, job.settings.sync_frames)


def _mouth_inside(store: FrameStore, frames: np.ndarray) -> Float32[np.ndarray, " 3"]:
    """Mean colour of the open mouth over some of these frames."""
    some = frames[:: max(1, len(frames) // MOUTH_VIEWS)]
    return mouth_colour((store.get("video", int(i)), store.get("regions", int(i))) for i in some)


def _uses_emotion(job: Job) -> bool:
    if job.method.emotion == "combined":
        return job.stage != "mouth"
    return job.method.has_emotion and job.stage in ("emotion", "avatar")


def _read_bank(job: Job, clip: Clip) -> Bank | None:
    if not job.reads_bank:
        return None
    if job.bank is None:
        raise ArtifactError(
            explain(
                "bank", None, "the emotion stage wants the emotion bank", "run rule emotion_bank"
            )
        )
    return read_bank(job.bank, clip)


def _videos(job: Job, with_normals: bool) -> dict[str, Path]:
    videos = {name: getattr(job.paths, name) for name in VIDEO_RULES}
    if job.reads_bank and job.bank is not None:
        videos |= {f"bank_{name}": job.bank[name] for name in ("frames", "regions", "normals")}
    return {k: v for k, v in videos.items() if with_normals or not k.endswith("normals")}


def usable_frames(clip: Clip, store: FrameStore) -> tuple[np.ndarray, np.ndarray]:
    """Training frames with trusted tracking and a head mask, and those of them with an open mouth.

    Raises:
        NumericalError: too many frames have an empty head mask.
    """
    area = clip.manifest.width * clip.manifest.height
    valid = [int(i) for i in np.flatnonzero(clip.valid[: clip.manifest.n_train])]
    store.preload(("alpha", "regions"), valid)
    head = [i for i in valid if (store.get("alpha", i) >= HEAD_ALPHA).sum() >= SMALLEST_HEAD * area]
    if len(head) < (1.0 - EMPTY_LIMIT) * clip.manifest.n_train:
        raise NumericalError(
            f"head masks: {len(head)} of {clip.manifest.n_train} training frames have one and "
            "a valid track; look at alpha.mkv and at track.npz (reason), then at quality.png"
        )
    opened = [
        i for i in head if inside_mouth(store.get("regions", i)).sum() >= SMALLEST_MOUTH * area
    ]
    return np.array(head), np.array(opened, dtype=np.int64)


def _pool(
    job: Job, clip: Clip, bank: Bank | None, frames: np.ndarray, open_frames: np.ndarray
) -> tuple[SamplePool, int]:
    """What steps may sample, and the training frame that they leave out (shown as PSNR)."""
    chosen = open_frames if job.stage == "mouth" else frames
    if len(chosen) == 0:
        raise NumericalError(
            f"mouth masks: none of {len(frames)} training frames shows an open mouth; "
            "look at regions.mkv (labels inner_mouth, teeth, tongue); a clip without speech cannot "
            "train a talking head"
        )
    held_out = int(chosen[len(chosen) // 2])
    chosen = chosen[chosen != held_out]
    known = np.isin(bank.frames, frames) if bank is not None else np.zeros(0, dtype=bool)
    none = np.zeros(0, dtype=np.int64)
    pool = SamplePool(
        frames=chosen,
        mouth=clip.mouth_opening[chosen],
        eyes=clip.conditions.action_units[chosen, -1],
        bank_frames=bank.frames[known] if bank is not None else none,
        bank_images=bank.images[known] if bank is not None else none,
        bank_share=job.settings.bank_share if bank is not None else 0.0,
    )
    return pool, held_out


def _build(
    job: Job, clip: Clip, store: FrameStore, frames: np.ndarray, open_frames: np.ndarray
) -> dict[str, nn.Module]:
    """The stage's modules by part name, with start values that depend only on the seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(job.seed)
        if job.stage == "mouth":
            return {"mouth": _new_mouth(job, clip, store, open_frames)}
        if job.stage == "face":
            return {"face": _new_face(job, clip, store, frames)}
        if job.stage == "emotion":
            tensors, header = load_parts(job.built_on())
            return {"face": build_face(tensors, header["feature_dim"], job.method, job.compute)}
        tensors, header = load_parts(job.built_on())
        face = build_face(tensors, header["feature_dim"], job.method, job.compute)
        return {"mouth": build_mouth(tensors, header["feature_dim"], job.compute), "face": face}


def _layer(job: Job, parts: dict[str, nn.Module], scene: Scene) -> Layer:
    for part in parts.values():
        part.to(scene.device)
    mouth, face = parts.get("mouth"), parts.get("face")
    kind = load_stages()[job.stage].layer
    if kind == "mouth":
        assert isinstance(mouth, MouthModel)
        return MouthLayer(mouth, scene)
    assert isinstance(face, FaceModel)
    if kind == "face":
        return FaceLayer(face, scene, _teachers(job, face))
    assert isinstance(mouth, MouthModel)
    return FullLayer(Avatar(mouth, face), scene)


def _teachers(job: Job, face: FaceModel) -> Teachers | None:
    """Who teaches the branch of the face, with start values that depend only on the seed."""
    if job.stage != "face" or not job.settings.has_teachers:
        return None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(job.seed + TEACHERS_SEED)
        return Teachers(face).to(job.device)


def _view(clip: Clip, store: FrameStore, frame: int) -> View:
    labels = store.get("regions", frame)
    mask = (store.get("alpha", frame) >= HEAD_ALPHA) & ~region_mask(labels, MOUTH)
    return View(
        image=store.get("video", frame),
        mask=mask,
        K=clip.cameras.Ks[frame],
        viewmat=clip.cameras.viewmats[frame],
    )


def _new_mouth(job: Job, clip: Clip, store: FrameStore, frames: np.ndarray) -> MouthModel:
    areas = [int(inside_mouth(store.get("regions", int(i))).sum()) for i in frames]
    widest = int(frames[int(np.argmax(areas))])
    inside = inside_mouth(store.get("regions", widest))
    view = _view(clip, store, widest)
    # lips in that frame must not colour what other frames show as teeth
    nearest = distance_transform_edt(~inside, return_distances=False, return_indices=True)
    view = replace(view, image=view.image[tuple(nearest)])
    gaussians = mouth_gaussians(
        clip.neutral, view, job.settings.n_gaussians, job.settings.sh_degree, job.seed
    )
    box = grid_box(gaussians.means)
    model = MouthModel(gaussians, clip.feature_dim, box, job.compute)
    model.audio.set_statistics(_training_features(clip))
    return model


def _new_face(job: Job, clip: Clip, store: FrameStore, frames: np.ndarray) -> FaceModel:
    turn = np.trace(clip.cameras.viewmats[frames, :3, :3], axis1=1, axis2=2)
    frontal = _view(clip, store, int(frames[int(np.argmax(turn))]))
    spread = frames[np.linspace(0, len(frames) - 1, min(HAIR_VIEWS, len(frames))).astype(int)]
    views = [_view(clip, store, int(i)) for i in spread]
    gaussians = face_gaussians(
        clip.neutral, frontal, views, job.settings.n_gaussians, job.settings.sh_degree, job.seed
    )
    model = FaceModel(gaussians, clip.feature_dim, job.method.emotion, job.compute)
    model.audio.set_statistics(_training_features(clip))
    units = torch.from_numpy(clip.conditions.action_units[: clip.manifest.n_train])
    model.set_statistics(units)
    return model


def _training_features(clip: Clip) -> torch.Tensor:
    return torch.from_numpy(clip.conditions.features[: clip.manifest.n_train])
