"""Which network of the paper each packaged part takes the place of; for quality.json."""

from __future__ import annotations

from emotalk_core.evaluation.audio_lips import RIDGE_ID, RIDGE_STANDING_FOR
from emotalk_core.evaluation.evaluators import PACKAGED


def stand_ins(speech_extractor: str) -> list[dict[str, str]]:
    """One entry a task: what is used and what it stands for."""
    entries = (
        ("landmarks", PACKAGED["landmarks"].id, PACKAGED["landmarks"].standing_for),
        ("head pose", "own bundle adjustment on FaceMesh points", "Basel Face Model fit"),
        ("regions", "mediapipe selfie mask, landmarks and colour", "BiSeNet, EasyPortrait"),
        ("normals", "tracked face surface", "cross-modal normal network"),
        ("action units", PACKAGED["action_units"].id, PACKAGED["action_units"].standing_for),
        ("identity", PACKAGED["identity"].id, PACKAGED["identity"].standing_for),
        ("perceptual distance", PACKAGED["perceptual"].id, PACKAGED["perceptual"].standing_for),
        ("emotion", PACKAGED["emotion"].id, PACKAGED["emotion"].standing_for),
        ("speech features", speech_extractor, "DeepSpeech"),
        ("lips against sound", RIDGE_ID, RIDGE_STANDING_FOR),
        ("emotional pictures", "geometric generator", "EmoStyle with a lip network (StyleGAN2)"),
    )
    return [{"task": t, "used": u, "stands_for": s} for t, u, s in entries]
