"""Which network of the paper each packaged part takes the place of; for quality.json."""

from __future__ import annotations

from importlib import import_module

from emotalk_core.evaluation.audio_lips import RIDGE_ID, RIDGE_STANDING_FOR
from emotalk_core.evaluation.evaluators import PACKAGED
from emotalk_core.media.weight_files import open_network
from emotalk_core.speech.features.ave import prefixed
from emotalk_core.weights import (
    MISSING,
    STAND_IN,
    TRUNCATED,
    UNVERIFIED,
    WRONG_HASH,
    files_of,
    known_weights,
    state_of,
)

UNUSABLE = "unusable"
CONVERTED = {"ave": prefixed}  # names of the file to names of the network, where they differ
# Weight file -> the task whose packaged part it takes the place of.
TASK_OF = {
    "bisenet": "regions",
    "easyportrait": "teeth",
    "face_normals": "normals",
    "emonet": "emotion",
    "ave": "speech features",
    "syncnet": "sync loss",
    "wav2lip_expert": "sync loss",
}


def stand_ins(
    speech_extractor: str, chosen: str = "", generator: str = "geometric"
) -> list[dict[str, str]]:
    """One entry a task: what is used and what it stands for.

    Args:
        speech_extractor: id in speech.npz.
        chosen: what the configuration chooses of the paper's own networks and which bytes lie there
            (`weights.weights_param`); a chosen file that is missing is named.
        generator: of emotional pictures, `emotion_bank.generator`.
    """
    states = files_of(chosen)
    reference = {TASK_OF[name]: (name, s) for name, s in states.items() if name in TASK_OF}
    return [
        _entry(*entry, reference.get(entry[0]))
        for entry in _packaged(speech_extractor, generator, by_colour="bisenet" in states)
    ]


def _entry(task: str, used: str, stands_for: str, file: tuple[str, str] | None) -> dict[str, str]:
    if file is not None:
        name, state = file
        there = state not in (MISSING, TRUNCATED, WRONG_HASH)
        if there and not loads(name):
            there, state = False, UNUSABLE
        used = f"{name} (sha256 {state[:12]})" if there else f"{used} ({name}: {state})"
        stands_for = "nothing: the paper's own" if there else stands_for
    return {"task": task, "used": used, "stands_for": stands_for}


def loads(name: str) -> bool:
    """Whether a file that nobody has a hash of fits its network; the jobs asked the same."""
    entry = known_weights(name)
    if state_of(entry) != UNVERIFIED:
        return True
    module, _, kind = entry.network.partition(":")
    build = getattr(import_module(module), kind)
    return open_network(name, build, STAND_IN, CONVERTED.get(name)) is not None


def _unless(used: str, own: str, stands_for: str) -> str:
    """What a part stands for, unless it is the paper's own."""
    return "nothing: the paper's own" if used.startswith(own) else stands_for


def _packaged(speech_extractor: str, generator: str, by_colour: bool) -> list[tuple[str, str, str]]:
    """(task, what is used, what it stands for) of the packaged parts."""
    speech = _unless(speech_extractor, "deepspeech", "DeepSpeech")
    # BiSeNet's mouth has no teeth, and our mouth network is part of the packaged regions
    teeth = "colour inside the lips" if by_colour else "the network mouth_parts, the clip's colours"
    return [
        ("landmarks", PACKAGED["landmarks"].id, PACKAGED["landmarks"].standing_for),
        ("head pose", "own bundle adjustment on FaceMesh points", "Basel Face Model fit"),
        ("regions", "selfie mask, known-plate matting and the network head_parts", "BiSeNet"),
        ("teeth", teeth, "EasyPortrait"),
        ("normals", "tracked face surface", "cross-modal normal network"),
        ("action units", PACKAGED["action_units"].id, PACKAGED["action_units"].standing_for),
        ("identity", PACKAGED["identity"].id, PACKAGED["identity"].standing_for),
        ("perceptual distance", PACKAGED["perceptual"].id, PACKAGED["perceptual"].standing_for),
        ("emotion", PACKAGED["emotion"].id, PACKAGED["emotion"].standing_for),
        ("speech features", speech_extractor, speech),
        ("sync loss", "the subject's own expert (sync_loss.expert)", "SyncNet on pixels"),
        ("lips against sound", PACKAGED["sync"].id, PACKAGED["sync"].standing_for),
        ("lips against sound, baseline", RIDGE_ID, RIDGE_STANDING_FOR),
        (
            "emotional pictures",
            f"{generator} generator",
            _unless(generator, "glef", "EmoStyle with a lip network (StyleGAN2)"),
        ),
    ]
