"""Who compares lips with sound in training: the subject's experts or a published network.

Config word `sync_loss.expert`. A judge keeps what it hears of each sound, says which part of the
frame it looks at, and makes the run that the loss `sync` takes.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float, Float32, Shaped
from torch import Tensor

from emotalk_core.avatar.crops import Crop
from emotalk_core.errors import ArtifactError, ConfigError, explain
from emotalk_core.losses.context import SyncRun
from emotalk_core.losses.pixel_sync import (
    WINDOW,
    Box,
    PictureRun,
    WindowLoss,
    WindowRun,
    syncnet_box,
    syncnet_loss,
    wav2lip_loss,
)
from emotalk_core.losses.sync import LandmarkRun
from emotalk_core.media.weight_files import open_network
from emotalk_core.perception.emotion.reference import face_box
from emotalk_core.speech.sync.cepstrum import mfcc
from emotalk_core.speech.sync.experts import SubjectExpert, load_subject_expert
from emotalk_core.speech.sync.lip_pictures import mouth_square, pixel_positions
from emotalk_core.speech.sync.lip_shapes import GAIN
from emotalk_core.speech.sync.network import REACH
from emotalk_core.speech.sync.picture_network import SubjectPictures, load_picture_expert
from emotalk_core.speech.sync.reading import Listener, sound_codes
from emotalk_core.speech.sync.sounds import LOGMEL, hear
from emotalk_core.speech.sync.syncnet import SyncNet
from emotalk_core.speech.sync.syncnet_protocol import COLUMNS_PER_FRAME, INT16_FULL, SOUND_COLUMNS
from emotalk_core.speech.sync.wav2lip import (
    COLUMNS_PER_SECOND,
    MEL_COLUMNS,
    SyncNetColor,
    mel_spectrogram,
)
from emotalk_core.training.inputs import Clip
from emotalk_core.types.manifest import FPS

logger = logging.getLogger(__name__)

LANDMARKS, PIXELS, WAV2LIP, SYNCNET = "landmarks", "pixels", "wav2lip", "syncnet"
WORDS = (LANDMARKS, PIXELS, WAV2LIP, SYNCNET)
MARGIN = 2  # px around what is sampled: bilinear neighbours

Heard = Shaped[np.ndarray, "..."]


class Judge(Protocol):
    """What every judge can do."""

    @property
    def id(self) -> str:
        """Name for logs and the checkpoint's header."""
        ...

    @property
    def sees_pictures(self) -> bool:
        """Whether frames are drawn for it; else it takes the motion of the lip points."""
        ...

    def hear(self, samples: Float32[np.ndarray, " N"], n_frames: int) -> Heard:
        """What it keeps of a 16 kHz mono sound."""
        ...


class PictureJudge(Judge, Protocol):
    """A judge of drawn frames."""

    def rectangle(self, clip: Clip, frames: range) -> Crop:
        """The part of these frames that it looks at."""
        ...

    def run(
        self,
        heard: Heard,
        audio: int,
        pictures: Float[Tensor, "R 3 h w"],
        clip: Clip,
        frames: range,
    ) -> SyncRun:
        """The comparison of drawn rectangles with the sound from frame `audio` on."""
        ...


@dataclass(frozen=True)
class LandmarkJudge:
    """The subject's landmark expert."""

    subject: SubjectExpert
    id: str = LANDMARKS
    sees_pictures: bool = False

    def hear(self, samples: Float32[np.ndarray, " N"], n_frames: int) -> Heard:
        """One vector a frame."""
        return heard_by(self.subject.expert, samples, n_frames)

    def run(self, heard: Heard, audio: int, motion: Float[Tensor, "R 40 2"]) -> LandmarkRun:
        """The comparison for in-plane lip motion in outer eye distances."""
        mean = self.subject.mean_motion.to(motion.device)
        return LandmarkRun(
            expert=self.subject.expert.to(motion.device),
            lips=((motion - mean) * GAIN).flatten(1),
            heard=_inner(heard, audio, len(motion), motion.device),
            true_distance=self.subject.true_distance,
        )


@dataclass(frozen=True)
class SubjectPictureJudge:
    """The subject's pixel expert."""

    subject: SubjectPictures
    id: str = PIXELS
    sees_pictures: bool = True

    def hear(self, samples: Float32[np.ndarray, " N"], n_frames: int) -> Heard:
        """One vector a frame."""
        return heard_by(self.subject.expert, samples, n_frames)

    def rectangle(self, clip: Clip, frames: range) -> Crop:
        """Around the mouth's square in all of these frames."""
        places = self._positions(clip, frames).reshape(-1, 2)
        return _crop((*places.min(axis=0).tolist(), *places.max(axis=0).tolist()), clip)

    def run(
        self,
        heard: Heard,
        audio: int,
        pictures: Float[Tensor, "R 3 h w"],
        clip: Clip,
        frames: range,
    ) -> SyncRun:
        """Pictures of the mouth, free of head pose."""
        corner = self.rectangle(clip, frames)
        device = pictures.device
        places: Float32[np.ndarray, "R P 2"] = self._positions(clip, frames) - np.array(
            [corner.x0, corner.y0], np.float32
        )
        return PictureRun(
            expert=self.subject.expert.to(device),
            frames=pictures,
            positions=torch.from_numpy(places).to(device),
            heard=_inner(heard, audio, len(pictures), device),
            true_distance=self.subject.true_distance,
        )

    def _positions(self, clip: Clip, frames: range) -> Float32[np.ndarray, "R P 2"]:
        return pixel_positions(mouth_square(clip.neutral), clip.cameras, frames)


@dataclass(frozen=True)
class WindowJudge:
    """A published expert on windows of five frames: SyncNet or Wav2Lip's.

    Attributes:
        id: config word.
        network: with weights, frozen.
    """

    id: str
    network: SyncNet | SyncNetColor
    sees_pictures: bool = True

    def hear(self, samples: Float32[np.ndarray, " N"], n_frames: int) -> Heard:
        """Columns of the whole sound, `SOUND_COLUMNS` or `MEL_COLUMNS` of which make a window."""
        if isinstance(self.network, SyncNetColor):
            columns = mel_spectrogram(samples)
        else:
            scaled = np.clip(np.round(samples * INT16_FULL), -INT16_FULL, INT16_FULL - 1)
            columns = mfcc(scaled)
        return np.ascontiguousarray(columns, dtype=np.float32)

    def rectangle(self, clip: Clip, frames: range) -> Crop:
        """Around what the network looks at in all of these frames."""
        boxes = np.array([self._around(box) for box in _face_boxes(clip, frames)])
        return _crop((*boxes[:, :2].min(axis=0).tolist(), *boxes[:, 2:].max(axis=0).tolist()), clip)

    def run(
        self,
        heard: Heard,
        audio: int,
        pictures: Float[Tensor, "R 3 h w"],
        clip: Clip,
        frames: range,
    ) -> SyncRun:
        """Windows one after another; frames that fill none are left out."""
        corner = self.rectangle(clip, frames)
        shift = np.array([corner.x0, corner.y0, corner.x0, corner.y0])
        boxes = [tuple((np.array(box) - shift).tolist()) for box in _face_boxes(clip, frames)]
        sounds = [self._window(heard, audio + WINDOW * k) for k in range(len(boxes))]
        on_device = [torch.from_numpy(sound).to(pictures.device) for sound in sounds]
        self.network.to(pictures.device)
        return WindowRun(self._loss(), pictures, boxes, on_device)

    def _around(self, box: Box) -> Box:
        return box if isinstance(self.network, SyncNetColor) else syncnet_box(box)

    def _loss(self) -> WindowLoss:
        network = self.network
        if isinstance(network, SyncNetColor):
            return lambda frames, box, sound: wav2lip_loss(network, frames, box, sound)
        return lambda frames, box, sound: syncnet_loss(network, frames, box, sound)

    def _window(self, heard: Heard, frame: int) -> Float32[np.ndarray, "C K"]:
        """Columns that begin with a frame; the last one is held beyond the sound's end."""
        if isinstance(self.network, SyncNetColor):
            first, count = int(COLUMNS_PER_SECOND * frame / FPS), MEL_COLUMNS
        else:
            first, count = COLUMNS_PER_FRAME * frame, SOUND_COLUMNS
        rows = np.clip(np.arange(first, first + count), 0, len(heard) - 1)
        return np.ascontiguousarray(heard[rows].T)


def heard_by(expert: Listener, samples: Float32[np.ndarray, " N"], n_frames: int) -> Heard:
    """A sound as one of the subject's experts hears it, one vector a frame."""
    return sound_codes(expert, hear(samples, n_frames, LOGMEL))


def open_judge(word: str, sync_expert: Path, picture_expert: Path | None) -> Judge:
    """The judge of a config word, or the landmark expert where its weights may be stood in for.

    Raises:
        ConfigError: unknown word.
        ArtifactError: the subject's pixel expert is wanted and not given.
        WeightsError: weights are missing or wrong, and weights.on_missing is error.
    """
    if word not in WORDS:
        raise ConfigError(explain("sync_loss.expert", word, f"wanted one of {WORDS}", "correct it"))
    if word == PIXELS:
        if picture_expert is None:
            raise ArtifactError(
                explain("pixel_sync_expert", None, "wanted a file", "run adapt_pixel_sync_expert")
            )
        return SubjectPictureJudge(load_picture_expert(picture_expert))
    network: SyncNet | SyncNetColor | None = None
    if word == SYNCNET:
        network = open_network("syncnet", SyncNet)
    elif word == WAV2LIP:
        network = open_network("wav2lip_expert", SyncNetColor)
    if network is not None:
        return WindowJudge(word, network)
    name = LANDMARKS if word == LANDMARKS else f"{LANDMARKS}-without-{word}"
    return LandmarkJudge(load_subject_expert(sync_expert), name)


def _inner(heard: Heard, audio: int, length: int, device: torch.device) -> Float[Tensor, "t C"]:
    """Vectors of the frames of a run that have REACH frames on either side."""
    return torch.from_numpy(heard[audio + REACH : audio + length - REACH]).to(device)


def _face_boxes(clip: Clip, frames: range) -> list[Box]:
    """Mean face box of each whole window of these frames, px."""
    boxes = []
    for first in range(frames.start, frames.stop - WINDOW + 1, WINDOW):
        corners = [face_box(clip.landmarks[frame]) for frame in range(first, first + WINDOW)]
        x0, y0, x1, y1 = np.mean(corners, axis=0).tolist()
        boxes.append((x0, y0, x1, y1))
    return boxes


def _crop(box: Box, clip: Clip) -> Crop:
    """Whole pixels around a box, inside the frame."""
    x0, y0, x1, y1 = box
    width, height = clip.cameras.width, clip.cameras.height
    return Crop(
        y0=int(np.clip(np.floor(y0) - MARGIN, 0, height - 1)),
        y1=int(np.clip(np.ceil(y1) + MARGIN, 1, height)),
        x0=int(np.clip(np.floor(x0) - MARGIN, 0, width - 1)),
        x1=int(np.clip(np.ceil(x1) + MARGIN, 1, width)),
    )
