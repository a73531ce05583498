"""A subject's artifacts for training: from paths to checked tables, cameras and frame stores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float32, Int

from emotalk_core.avatar.conditions import ConditionTable, action_unit_matrix, emotion_matrix
from emotalk_core.errors import ArtifactError, explain
from emotalk_core.media.tables import (
    check_length,
    read_arrays,
    read_cameras,
    read_manifest,
    read_table,
)
from emotalk_core.perception.landmarks.topology import OUTER_EYE_CORNERS
from emotalk_core.types.camera import CameraPath
from emotalk_core.types.gaussians import Camera
from emotalk_core.types.manifest import Manifest

ACTION_UNIT_COLUMNS = ("valid", "AU01", "AU02", "AU04", "AU05", "AU06", "AU07", "AU25", "AU45")
EMOTION_COLUMNS = ("valid", "valence", "arousal")
BANK_COLUMNS = ("image", "source_frame", "valence", "arousal", "accepted")
BANK_FILES = ("frames", "regions", "normals", "landmarks", "index")


@dataclass(frozen=True)
class ClipPaths:
    """Files of one subject (docs/artifacts.md)."""

    manifest: Path
    video: Path
    track: Path
    cameras: Path
    regions: Path
    alpha: Path
    normals: Path
    torso: Path
    action_units: Path
    valence_arousal: Path
    speech: Path


@dataclass(frozen=True)
class Clip:
    """Everything of a subject that fits in memory.

    Attributes:
        landmarks: [T,478,2] px.
        motion: [T,478,2] in-plane motion of the mesh against its neutral shape, in the
            head's world, units of the outer eye distance.
        neutral: [478,3] metres.
        eye_distance: metres between the outer eye corners.
        valid: frames whose tracking can be trusted.
        conditions: sound, action units and emotion per frame.
        mouth_opening: AU25 per frame.
        extractor: id of the speech features.
    """

    manifest: Manifest
    cameras: CameraPath
    landmarks: Float32[np.ndarray, "T 478 2"]
    motion: Float32[np.ndarray, "T 478 2"]
    neutral: Float32[np.ndarray, "478 3"]
    eye_distance: float
    valid: Bool[np.ndarray, " T"]
    conditions: ConditionTable
    mouth_opening: Float32[np.ndarray, " T"]
    extractor: str

    def camera(self, frame: int, device: torch.device | str) -> Camera:
        """The camera of one frame as tensors."""
        return Camera.of_frame(self.cameras, frame, device)

    @property
    def feature_dim(self) -> int:
        """Channels of the speech features."""
        return int(self.conditions.features.shape[2])


def landmark_motion(
    landmarks: Float32[np.ndarray, "T L 2"],
    landmarks_world: Float32[np.ndarray, "T L 3"],
    neutral: Float32[np.ndarray, "L 3"],
    cameras: CameraPath,
) -> Float32[np.ndarray, "T L 2"]:
    """In-plane motion, metres, that puts each neutral point onto its pixel at the tracked depth."""
    rotations, translations = cameras.viewmats[:, :3, :3], cameras.viewmats[:, :3, 3]
    in_camera = np.einsum("tij,tlj->tli", rotations, landmarks_world) + translations[:, None]
    focal = np.stack([cameras.Ks[:, 0, 0], cameras.Ks[:, 1, 1]], axis=1)[:, None]
    centre = cameras.Ks[:, None, :2, 2]
    seen = np.concatenate(
        [(landmarks - centre) / focal * in_camera[..., 2:], in_camera[..., 2:]], axis=2
    )
    world = np.einsum("tji,tlj->tli", rotations, seen - translations[:, None])
    return (world - neutral)[..., :2].astype(np.float32)


def read_clip(paths: ClipPaths) -> Clip:
    """Read and check the small artifacts of a subject.

    Raises:
        ArtifactError: an artifact is broken or disagrees with the manifest's frame count.
    """
    manifest = read_manifest(paths.manifest)
    n_frames = manifest.n_frames
    track = read_arrays(paths.track, ("landmarks", "landmarks_world", "neutral", "valid"))
    cameras = read_cameras(paths.cameras)
    units = read_table(paths.action_units, ACTION_UNIT_COLUMNS)
    emotion = read_table(paths.valence_arousal, EMOTION_COLUMNS)
    speech = read_arrays(paths.speech, ("features", "extractor"))
    for name, got, rule in (
        ("track.npz", len(track["landmarks"]), "track_head"),
        ("cameras.json", len(cameras), "refine_cameras"),
        ("action_units.csv", len(units), "action_units"),
        ("valence_arousal.csv", len(emotion), "valence_arousal"),
        ("speech.npz", len(speech["features"]), "speech_features"),
    ):
        check_length(name, got, n_frames, rule)
    neutral = track["neutral"].astype(np.float32)
    right, left = OUTER_EYE_CORNERS
    eye_distance = float(np.linalg.norm(neutral[right] - neutral[left]))
    motion = landmark_motion(track["landmarks"], track["landmarks_world"], neutral, cameras)
    return Clip(
        manifest=manifest,
        cameras=cameras,
        landmarks=track["landmarks"].astype(np.float32),
        motion=motion / np.float32(eye_distance),
        neutral=neutral,
        eye_distance=eye_distance,
        valid=track["valid"].astype(bool),
        conditions=ConditionTable(
            features=np.ascontiguousarray(speech["features"], dtype=np.float32),
            action_units=action_unit_matrix(units),
            emotion=emotion_matrix(emotion),
        ),
        mouth_opening=units["AU25"].fillna(0.0).to_numpy(dtype=np.float32),
        extractor=str(speech["extractor"]),
    )


@dataclass(frozen=True)
class Bank:
    """Emotion images that passed their own checks.

    Attributes:
        images: index in frames.mkv.
        frames: source frame of each.
        emotion: (valence, arousal) of every image of the file, by image index.
        motion: how far every landmark of every image moved from its source frame, camera axes
            (x right, y down), units of the outer eye distance.
    """

    images: Int[np.ndarray, " B"]
    frames: Int[np.ndarray, " B"]
    emotion: Float32[np.ndarray, "A 2"]
    motion: Float32[np.ndarray, "A L 2"]


def read_bank(paths: Mapping[str, Path], clip: Clip) -> Bank:
    """Read the emotion bank's tables and keep the accepted images of training frames.

    Raises:
        ArtifactError: files are missing, images name frames that do not exist, or none is left.
    """
    missing = [name for name in BANK_FILES if name not in paths]
    if missing:
        raise ArtifactError(
            explain("bank", sorted(paths), f"wanted also {missing}", "give the whole emotion_bank")
        )
    manifest = clip.manifest
    index = read_table(paths["index"], BANK_COLUMNS)
    images = index["image"].to_numpy(dtype=np.int64)
    frames = index["source_frame"].to_numpy(dtype=np.int64)
    if (
        len(index) == 0
        or frames.max() >= manifest.n_frames
        or (images != np.arange(len(index))).any()
    ):
        raise ArtifactError(
            f"{paths['index']}: {len(index)} images, source frames up to "
            f"{frames.max() if len(frames) else 'none'} of {manifest.n_frames}; "
            "rerun the emotion bank"
        )
    arrived = read_arrays(paths["landmarks"], ("landmarks",))["landmarks"]
    check_length(str(paths["landmarks"]), len(arrived), len(index), "make_emotion_bank")
    usable = _truth(index["accepted"]) & (frames < manifest.n_train)
    if not usable.any():
        raise ArtifactError(
            f"{paths['index']}: none of {len(index)} images is accepted and from a training frame; "
            "look at its `reason` column and at the bank's settings"
        )
    return Bank(
        images=images[usable],
        frames=frames[usable],
        emotion=index[["valence", "arousal"]].to_numpy(dtype=np.float32),
        motion=bank_motion(clip, arrived, frames),
    )


def bank_motion(
    clip: Clip, arrived: Float32[np.ndarray, "A L 2"], frames: Int[np.ndarray, " A"]
) -> Float32[np.ndarray, "A L 2"]:
    """Motion between a frame's landmarks and its edit's, at the depth of the neutral face."""
    turned = np.einsum("tj,lj->tl", clip.cameras.viewmats[:, 2, :3], clip.neutral)
    depth = (turned + clip.cameras.viewmats[:, 2, 3:])[frames][..., None]
    focal = np.stack([clip.cameras.Ks[:, 0, 0], clip.cameras.Ks[:, 1, 1]], axis=1)[frames]
    metres = (arrived - clip.landmarks[frames]) / focal[:, None] * depth
    return (metres / clip.eye_distance).astype(np.float32)


def _truth(column: pd.Series) -> Bool[np.ndarray, " B"]:
    """Booleans of a CSV column, whichever way they were written."""
    return column.map(str).isin(("True", "true", "1", "1.0")).to_numpy()
