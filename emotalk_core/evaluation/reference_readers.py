"""The paper's own evaluators, as far as the settings choose them and their weights are there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from jaxtyping import UInt8

from emotalk_core.errors import ConfigError, explain
from emotalk_core.evaluation.evaluators import MISSING_MARK, PACKAGED, Evaluator
from emotalk_core.evaluation.metrics.base import EvaluatorKind
from emotalk_core.evaluation.settings import EvaluationSettings
from emotalk_core.evaluation.syncnet_expert import SyncNetExpert
from emotalk_core.media.weight_files import open_network, read_state
from emotalk_core.perception.emotion.reference import EmoNetReader, open_emonet
from emotalk_core.perception.identity.reference import Vggface2Identity
from emotalk_core.perception.landmarks.reference import FanPoints
from emotalk_core.perception.perceptual.lpips_alex import LPIPS, lpips_state
from emotalk_core.speech.sync.syncnet import SyncNet
from emotalk_core.weights import find_weights, known_weights, path_of

Frame = UInt8[np.ndarray, "H W 3"]


@dataclass(frozen=True)
class LpipsDistance:
    """LPIPS of two whole frames."""

    network: LPIPS

    def distance(self, render: Frame, truth: Frame) -> float:
        """0 for equal pictures."""
        pair = np.stack([render, truth]).astype(np.float32) / 127.5 - 1
        first, second = torch.from_numpy(pair).permute(0, 3, 1, 2)[:, None]
        with torch.no_grad():
            return float(self.network(first, second))


@dataclass(frozen=True)
class ReferenceReaders:
    """What is chosen and there.

    Attributes:
        evaluators: those, and the packaged ones that take the place of missing files.
    """

    evaluators: Mapping[EvaluatorKind, Evaluator] = field(default_factory=dict)
    emotion: EmoNetReader | None = None
    identity: Vggface2Identity | None = None
    fan: FanPoints | None = None
    lpips: LpipsDistance | None = None
    syncnet: SyncNetExpert | None = None


def open_reference_readers(settings: EvaluationSettings) -> ReferenceReaders:
    """Open every network that the settings choose.

    Raises:
        ConfigError: an unknown word.
        WeightsError: a file is missing or altered, and weights.on_missing is "error".
    """
    _check_words(settings)
    evaluators: dict[EvaluatorKind, Evaluator] = {}
    emotion = open_emonet() if settings.emotion == "emonet" else None
    if settings.emotion == "emonet":
        evaluators["emotion"] = _reader("emotion", "emonet", EmoNetReader.id, emotion)
    identity = Vggface2Identity.open() if settings.identity == "vggface2" else None
    if settings.identity == "vggface2":
        own = Vggface2Identity.id
        evaluators["identity"] = _reader("identity", "facenet_vggface2", own, identity)
    fan = FanPoints.open() if settings.landmarks == "fan" else None
    if fan is not None:
        evaluators["fan"] = _evaluator(FanPoints.id, "fan")
    elif settings.landmarks == "fan":
        evaluators["landmarks"] = _without("landmarks", "fan")
    lpips = _open_lpips() if settings.perceptual == "lpips_alex" else None
    if lpips is not None:
        evaluators["lpips"] = _evaluator("lpips-alex-0.1", "alexnet", "lpips_alex")
    elif settings.perceptual == "lpips_alex":
        evaluators["perceptual"] = _without("perceptual", "lpips_alex")
    syncnet = open_network("syncnet", SyncNet) if settings.sync == "syncnet" else None
    if syncnet is not None:
        evaluators["syncnet"] = _evaluator("syncnet-v2", "syncnet")
    elif settings.sync == "syncnet":
        evaluators["sync"] = _without("sync", "syncnet")
    expert = None if syncnet is None else SyncNetExpert(syncnet)
    return ReferenceReaders(evaluators, emotion, identity, fan, lpips, expert)


def _check_words(settings: EvaluationSettings) -> None:
    for name, words in (
        ("landmarks", ("packaged", "fan")),
        ("emotion", ("packaged", "emonet")),
        ("identity", ("dlib", "vggface2")),
        ("perceptual", ("none", "lpips_alex")),
        ("sync", ("none", "syncnet")),
    ):
        word = getattr(settings, name)
        if word not in words:
            raise ConfigError(
                explain(f"evaluation.{name}", word, f"wanted one of {words}", "correct it")
            )


def _evaluator(own: str, *names: str) -> Evaluator:
    """The paper's own measure, with its weight files."""
    return Evaluator(own, "", lambda: [path_of(known_weights(n)) for n in names])


def _reader(kind: EvaluatorKind, name: str, own: str, opened: object | None) -> Evaluator:
    """The reference where it could be opened; else the packaged one, marked in its id."""
    return _without(kind, name) if opened is None else _evaluator(own, name)


def _without(kind: EvaluatorKind, name: str) -> Evaluator:
    """The packaged evaluator, marked: a network was chosen and its file is missing."""
    packaged = PACKAGED[kind]
    return replace(packaged, id=f"{packaged.id}{MISSING_MARK}{name}")


def _open_lpips() -> LpipsDistance | None:
    """LPIPS from its two published files, or None with a warning."""
    heads = find_weights("lpips_alex")
    if heads is None:
        return None
    state = read_state(heads)
    network = open_network("alexnet", LPIPS, None, lambda trunk: lpips_state(trunk, state))
    return None if network is None else LpipsDistance(network)
