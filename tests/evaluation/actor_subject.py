"""A subject with exact truth on disk, made of the digital actor, and faulty copies of a render."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from emotalk_core.actor.identity import random_identity
from emotalk_core.actor.performance import ActorSettings, Performance, perform
from emotalk_core.actor.renderer import Actor, Rendered
from emotalk_core.emotion.circle import EvaluationPoint, evaluation_points, packaged_circle
from emotalk_core.evaluation.baselines import test_table as held_out_table
from emotalk_core.media.audio import write_wav
from emotalk_core.media.tables import write_arrays, write_manifest, write_table
from emotalk_core.media.video import write_video
from emotalk_core.perception.emotion.classes import CLASSES, ExpressionClasses, upright_face
from emotalk_core.perception.emotion.reader import NETWORK_COLUMN
from emotalk_core.perception.tracking.shape import eye_distances, lid_gap, lip_gap
from emotalk_core.types.manifest import Manifest
from emotalk_core.types.renders import point_clip

SIZE, SMALL = 256, 64  # px of what is judged, and of the training part that only gives landmarks
N_TRAIN, N_TEST = 160, 56
PER_POINT = 3  # frames of each emotion point
MOUTH = ("jaw", "mouth", "tongue")
BROWS = ("browLiftInner", "browLiftOuter")  # percent of the eye distance, against weights of 0..1
# A render as avatars give it, about 33 dB: soft, shades a little off, restless, lips a little lazy.
SOFT, SHADE, SHAKE, LAZY = 0.6, 4.0, 0.3, 0.9  # px, grey levels, px, share of the true motion
SHADE_SIZE = 8.0  # px; broad enough that a blur does not remove it
BLUR = 1.3  # px on top of it
SHIFT = 25  # frames by which shuffled lips are late (they come round at the end of the test part)


@dataclass(frozen=True)
class ActorSubject:
    """Artifacts by name, and what is needed to draw renders of the person.

    Attributes:
        folder: of the artifacts.
        manifest: of the clip.
    """

    folder: Path
    manifest: Manifest
    actor: Actor
    play: Performance

    def paths(self) -> dict[str, Path]:
        """Artifacts that scoring reads."""
        names = {"manifest": "json", "audio": "wav", "track": "npz"}
        names |= dict.fromkeys(("video", "regions"), "mkv")
        names |= dict.fromkeys(("action_units", "valence_arousal"), "csv")
        return {name: self.folder / f"{name}.{suffix}" for name, suffix in names.items()}

    def test_render(self, fault: str) -> list[np.ndarray]:
        """Frames of the test part as an avatar might draw them, and a fault on top."""
        play = self.play.expression
        is_mouth = np.array([n.startswith(MOUTH) for n in self.play.names])
        test = np.arange(N_TRAIN, N_TRAIN + N_TEST)
        lips = test
        if fault == "frozen lips":
            lips = np.full(N_TEST, N_TRAIN)
        elif fault == "shuffled audio":
            lips = np.roll(test, SHIFT)
        frames = []
        for frame, lip in zip(test, lips):
            weights = np.where(is_mouth, LAZY * play[lip], play[frame]).astype(np.float32)
            picture = drawn_by_an_avatar(self.actor.render(weights, self.play.poses[frame]), frame)
            if fault == "blurred":
                picture = cv2.GaussianBlur(picture, (0, 0), BLUR)
            frames.append(picture)
        return frames

    def emotion_render(self, points: Sequence[EvaluationPoint]) -> list[np.ndarray]:
        """A few frames at each of 12 points, whichever they are."""
        circle, names = packaged_circle(), list(self.play.names)
        frames = []
        for point in points:
            values = circle.as_dict(point.valence, point.arousal)
            emotion = np.array([values.get(name, 0.0) for name in names])
            inner, outer = (values[name] / 10 for name in BROWS)
            emotion[names.index("browInnerUp")] += max(inner, 0)
            for side in ("Left", "Right"):
                emotion[names.index(f"browDown{side}")] += max(-inner, 0)
                emotion[names.index(f"browOuterUp{side}")] += max(outer, 0)
            for k in range(PER_POINT):
                frame = N_TRAIN + k
                drawn = self.actor.render(emotion.astype(np.float32), self.play.poses[frame])
                frames.append(drawn_by_an_avatar(drawn, frame))
        return frames

    def test_table(self) -> pd.DataFrame:
        """Render table of the test part."""
        return held_out_table(self.manifest)

    def emotion_table(self) -> pd.DataFrame:
        """Render table of the 12 points."""
        rows = [
            (point_clip(p.valence, p.arousal), N_TRAIN + k, k, p.valence, p.arousal)
            for p in evaluation_points()
            for k in range(PER_POINT)
        ]
        columns = ["clip", "source_frame", "audio_frame", "valence", "arousal"]
        table = pd.DataFrame(rows, columns=columns)
        table.insert(0, "frame", range(len(table)))
        return table


def drawn_by_an_avatar(drawn: Rendered, seed: int) -> np.ndarray:
    """The true picture with the small flaws that every avatar has."""
    generator = np.random.default_rng(seed)
    shift = np.eye(2, 3)
    shift[:, 2] = generator.normal(0, SHAKE, 2)
    picture = cv2.warpAffine(drawn.rgb, shift, (SIZE, SIZE), borderMode=cv2.BORDER_REPLICATE)
    shade = cv2.GaussianBlur(generator.normal(0, 1, (SIZE, SIZE)), (0, 0), SHADE_SIZE)
    picture = cv2.GaussianBlur(picture, (0, 0), SOFT).astype(np.float64)
    return np.clip(picture + SHADE * shade[..., None] / shade.std(), 0, 255).astype(np.uint8)


def make_actor_subject(folder: Path) -> ActorSubject:
    """Draw the person and write the artifacts."""
    total = N_TRAIN + N_TEST
    settings = ActorSettings(seed=7, seconds=total / 25, size=SIZE)
    identity = random_identity(settings.seed)
    play = perform(settings, identity)
    actor, sketch = Actor(identity, SIZE), Actor(identity, SMALL)
    drawn = [
        (sketch if k < N_TRAIN else actor).render(play.expression[k], play.poses[k])
        for k in range(total)
    ]
    scale = [SIZE / SMALL if k < N_TRAIN else 1.0 for k in range(total)]
    landmarks = np.stack([d.landmarks * s for d, s in zip(drawn, scale)]).astype(np.float32)
    manifest = Manifest(
        "actor", "actor.mp4", "0" * 64, SIZE, SIZE, total, len(play.samples), (0, SIZE, 0, SIZE),
        0.0, 1.0, N_TRAIN,
    )  # fmt: skip
    subject = ActorSubject(folder, manifest, actor, play)
    _write(subject, drawn, landmarks)
    return subject


def _write(subject: ActorSubject, drawn: list[Rendered], landmarks: np.ndarray) -> None:
    """All artifacts; pictures of the training part are never looked at and left black."""
    paths, total = subject.paths(), len(drawn)
    black = np.zeros((SIZE, SIZE, 3), np.uint8)
    truth = [d.rgb for d in drawn[N_TRAIN:]]
    write_manifest(paths["manifest"], subject.manifest)
    write_wav(paths["audio"], subject.play.samples)
    write_video(paths["video"], [black] * N_TRAIN + truth)
    write_video(paths["regions"], [black[..., 0]] * N_TRAIN + [d.labels for d in drawn[N_TRAIN:]])
    eyes = eye_distances(landmarks)
    rest = np.zeros(len(subject.play.names), np.float32)
    write_arrays(
        paths["track"],
        landmarks=landmarks,
        neutral=subject.actor.render(rest, subject.play.poses[0]).landmarks_head,
        expression=subject.play.expression,
        expression_names=np.array(subject.play.names),
        lip_opening=(lip_gap(landmarks) / eyes).astype(np.float32),
        eye_opening=(lid_gap(landmarks) / eyes).astype(np.float32),
        valid=np.ones(total, bool),
    )
    write_table(paths["action_units"], pd.DataFrame({"frame": range(total)}))
    # the person's rest, from a few frames over and over
    with ExpressionClasses() as network:
        posterior = np.stack(
            [
                network.posterior(upright_face(truth[k], landmarks[N_TRAIN + k].astype(np.float64)))
                for k in range(0, N_TEST, 8)
            ]
        )
    columns = {NETWORK_COLUMN.format(n): posterior[:, i] for i, n in enumerate(CLASSES)}
    readings = pd.DataFrame(columns).iloc[np.arange(total) % len(posterior)]
    readings.insert(0, "frame", range(total))
    write_table(paths["valence_arousal"], readings)
