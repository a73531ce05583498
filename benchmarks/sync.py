"""Quality of sync experts, offsets, speech features, alignment, synthesis (docs/speech.md).

    python -m benchmarks.sync --clips obama.mp4 markey.mp4 --sounds other.wav --json out.json

Clips are split by time: experts and ridges learn from the first three quarters (packaged experts
from nothing) and are judged on the last one.
"""

from __future__ import annotations

import argparse
import json
import logging
import re
import resource
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from emotalk_core.actor.speech_corpus import spoken_clip
from emotalk_core.evaluation.audio_lips import fit_lip_ridge, frame_features
from emotalk_core.media.audio import read_audio
from emotalk_core.media.source import SourceVideo
from emotalk_core.perception.ingest.timing import nearest_frames
from emotalk_core.perception.landmarks.packaged import FaceMeshLandmarks
from emotalk_core.speech.alignment import align, boundary_errors
from emotalk_core.speech.features.registry import EXTRACTORS, features_from_wav
from emotalk_core.speech.sync.experts import general_expert
from emotalk_core.speech.sync.lip_shapes import GAIN, LipFrame
from emotalk_core.speech.sync.network import SyncExpert
from emotalk_core.speech.sync.offset import expert_offset
from emotalk_core.speech.sync.reading import (
    FAR,
    MAX_SHIFT,
    beyond_chance,
    distances_by_shift,
    lip_codes,
    read_sync,
    separability,
    sound_codes,
    summarise,
)
from emotalk_core.speech.sync.sounds import EMBEDDING, LOGMEL, hear
from emotalk_core.speech.synthesis.espeak import espeak_phonemes
from emotalk_core.speech.synthesis.sentences import sentences
from emotalk_core.training.sync_expert import SyncSettings, adapt_expert
from emotalk_core.types.manifest import FPS, SAMPLE_RATE

LOG = logging.getLogger("benchmarks.sync")
LEARNED = 0.75  # share of a clip that teaches
WINDOWS = {"0.2 s": 1, "1 s": 25, "2 s": 50}  # frames; an expert sees .2 s at once
SHIFTS = (-0.11, -0.08, 0.08, 0.11)  # s, known shifts that must come back
NOISE_DB = 10.0
RIDGES = (1e1, 1e2, 1e3, 1e4)  # the best on the last fifth of what is learned
VOICES = (("en-us+f3", 165), ("en-us+m7", 190), ("en-us+m1", 130))
UPPER, LOWER = 13, 14  # inner lips


@dataclass(frozen=True)
class Talk:
    """Landmarks [T,478,2] at 25 fps and the sound of one clip."""

    name: str
    landmarks: np.ndarray
    samples: np.ndarray

    @property
    def learned(self) -> int:
        """Frames that teach."""
        return int(LEARNED * len(self.landmarks))

    @property
    def opening(self) -> np.ndarray:
        """Lip opening in outer eye distances."""
        eyes = np.linalg.norm(self.landmarks[:, 33] - self.landmarks[:, 263], axis=1)
        return np.linalg.norm(self.landmarks[:, UPPER] - self.landmarks[:, LOWER], axis=1) / eyes


def read_talk(path: Path) -> Talk:
    """A video file as landmarks and sound."""
    source = SourceVideo(path)
    points, seconds = [], []
    with FaceMeshLandmarks() as detector:
        for frame in source.frames():
            found = detector.detect(frame.rgb())
            points.append(np.full((478, 3), np.nan) if found is None else found)
            seconds.append(frame.seconds)
    samples = source.sound()
    duration = seconds[-1] + float(np.median(np.diff(seconds)))
    n = min(round(duration * FPS), len(samples) * FPS // SAMPLE_RATE)
    return Talk(path.stem, np.stack(points)[nearest_frames(seconds, n), :, :2], samples)


def expert_rows(talk: Talk, others: list[np.ndarray]) -> dict[str, dict]:
    """Packaged experts on the whole clip, the adapted one on its last quarter, the ridge there."""
    n = talk.learned
    shapes = LipFrame.fit(talk.landmarks).shapes(talk.landmarks)
    rows = {}
    for kind in (LOGMEL, EMBEDDING):
        expert = general_expert(kind)
        sound = hear(talk.samples, len(shapes), kind)
        rows[f"packaged {kind}, whole clip"] = judged(expert, shapes, sound, others, kind)
    own = LipFrame.fit(talk.landmarks[:n]).shapes(talk.landmarks)
    sound = hear(talk.samples, len(own), LOGMEL)
    motion = own.reshape(len(own), -1, 2) / GAIN
    subject = adapt_expert(motion, np.ones(len(own), bool), sound, n, SyncSettings(), seed=0)
    held = own[n:], sound[n * subject.expert.per_frame :]
    rows["adapted logmel, last quarter"] = judged(subject.expert, *held, others, LOGMEL)
    rows["ridge, last quarter"] = ridge_row(talk)
    return rows


def judged(
    expert: SyncExpert, lips: np.ndarray, sound: np.ndarray, others: list[np.ndarray], kind: str
) -> dict:
    """What one expert says about lips beside their own, other and no motion."""
    seen = lip_codes(expert, lips)
    heard = sound_codes(expert, sound)
    apart = distances_by_shift(seen, heard)
    reading = summarise(beyond_chance(seen, heard))
    frozen = np.repeat(lips[len(lips) // 2][None], len(lips), axis=0)
    still = read_sync(expert, frozen, sound)
    foreign = [
        summarise(beyond_chance(seen, sound_codes(expert, hear(s, len(lips), kind)))).own
        for s in others
    ]
    areas = {f"AUC {name}": separability(apart, w) for name, w in WINDOWS.items()}
    apart_by = min(foreign) - reading.own if foreign else float("nan")
    return {**areas, **asdict(reading), "frozen": still.confidence, "other minus own": apart_by}


def ridge_row(talk: Talk) -> dict:
    """Baseline: windowed correlation of the opening that log-mel lets expect with the true one."""
    n, total = talk.learned, len(talk.landmarks)
    features = frame_features(talk.samples, total)
    expected = fit_lip_ridge(features[:n], talk.opening[:n]).predict(features)
    frames = np.arange(n, total - MAX_SHIFT)
    frames = frames[frames >= MAX_SHIFT]
    areas = {}
    for name, window in WINDOWS.items():
        if window < 3 or len(frames) < window + 2:
            areas[f"AUC {name}"] = float("nan")
            continue
        starts = range(len(frames) - window + 1)
        scores = np.array(
            [
                [_correlation(talk.opening[f], expected[f + s]) for s in _shifts()]
                for f in (frames[k : k + window] for k in starts)
            ]
        )
        areas[f"AUC {name}"] = _area(scores)
    return areas


def _shifts() -> range:
    return range(-MAX_SHIFT, MAX_SHIFT + 1)


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    x, y = a - a.mean(), b - b.mean()
    return float((x * y).sum() / max(np.sqrt((x * x).sum() * (y * y).sum()), 1e-12))


def _area(scores: np.ndarray) -> float:
    """Share of (right window, wrong window) pairs in the right order."""
    wrong = scores[:, [k for k, s in enumerate(_shifts()) if abs(s) >= FAR]].ravel()
    return float((scores[:, MAX_SHIFT][:, None] > wrong[None]).mean())


def offset_rows(talk: Talk) -> dict[str, list[float]]:
    """Offsets of the whole clip and of 5 s parts, as it is and shifted by known amounts, s."""
    shapes = LipFrame.fit(talk.landmarks).shapes(talk.landmarks)
    found = {"whole": [expert_offset(shapes, talk.samples).seconds]}
    length = 5 * FPS
    found["5 s parts"] = [
        expert_offset(shapes[k : k + length], talk.samples[k * 640 : (k + length) * 640]).seconds
        for k in range(0, len(shapes) - length + 1, length)
    ]
    for shift in SHIFTS:
        count = round(abs(shift) * SAMPLE_RATE)
        moved = np.pad(talk.samples, (count, 0)) if shift > 0 else talk.samples[count:]
        found[f"shifted {shift:+.2f}"] = [expert_offset(shapes, moved).seconds - found["whole"][0]]
    return found


def probe_rows(talks: list[Talk], n_actors: int) -> dict[str, dict[str, float]]:
    """Correlation of a linear probe's lip opening with the true one on parts that it never saw."""
    actors = [spoken_clip(7000 + k, 8.0) for k in range(n_actors)]
    people = [Talk(f"actor {k}", c.landmarks, c.samples) for k, c in enumerate(actors)]
    known, unseen = people[: 3 * n_actors // 4], people[3 * n_actors // 4 :]
    rows = {}
    for extractor in EXTRACTORS.names():
        probe = fit_probe(extractor, known)
        row = {
            "unseen voices": probe_score(extractor, probe, unseen),
            "unseen voices, noise 10 dB": probe_score(extractor, probe, unseen, noise=True),
        }
        for talk in talks:
            n = talk.learned
            first = Talk(talk.name, talk.landmarks[:n], talk.samples[: n * 640])
            rest = Talk(talk.name, talk.landmarks[n:], talk.samples[n * 640 :])
            own = fit_probe(extractor, [first])
            row[f"{talk.name}, last quarter"] = probe_score(extractor, own, [rest])
            row[f"{talk.name}, noise 10 dB"] = probe_score(extractor, own, [rest], noise=True)
            row[f"{talk.name}, probe of actors"] = probe_score(extractor, probe, [talk])
        rows[extractor] = row
    return rows


def fit_probe(extractor: str, talks: list[Talk]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(mean, weights, intercept) of a ridge from a frame's window of features to the opening."""
    x = np.concatenate([_inputs(extractor, t, t.samples) for t in talks])
    y = np.concatenate([_standard(t.opening) for t in talks])
    cut = 4 * len(x) // 5

    def solve(a: np.ndarray, b: np.ndarray, ridge: float) -> tuple:
        mean = a.mean(axis=0)
        gram = (a - mean).T @ (a - mean) + ridge * np.eye(a.shape[1])
        return mean, np.linalg.solve(gram, (a - mean).T @ (b - b.mean())), b.mean()

    fits = [solve(x[:cut], y[:cut], ridge) for ridge in RIDGES]
    rated = [_correlation((x[cut:] - m) @ w + c, y[cut:]) for m, w, c in fits]
    return solve(x, y, RIDGES[int(np.argmax(rated))])


def probe_score(extractor: str, probe: tuple, talks: list[Talk], noise: bool = False) -> float:
    """Mean correlation over clips."""
    mean, weights, constant = probe
    rng = np.random.default_rng(0)
    scores = []
    for talk in talks:
        samples = talk.samples
        if noise:
            level = np.sqrt((samples**2).mean()) / 10 ** (NOISE_DB / 20)
            samples = samples + rng.normal(0, level, len(samples)).astype(np.float32)
        expected = (_inputs(extractor, talk, samples) - mean) @ weights + constant
        scores.append(_correlation(expected, talk.opening))
    return float(np.mean(scores))


def _inputs(extractor: str, talk: Talk, samples: np.ndarray) -> np.ndarray:
    features = features_from_wav(samples.astype(np.float32), len(talk.landmarks), extractor)
    return features.reshape(len(features), -1).astype(np.float64)


def _standard(values: np.ndarray) -> np.ndarray:
    return (values - values.mean()) / values.std()


def alignment_row(texts: tuple[str, ...]) -> dict[str, float]:
    """Errors of phoneme starts against espeak-ng's own times, ms."""
    errors = []
    for text in texts:
        for voice, rate in VOICES:
            samples, true = espeak_phonemes(text, voice, rate)
            errors.append(boundary_errors(align(samples, text), true))
    every = 1000 * np.concatenate(errors)
    return {
        "mean ms": float(every.mean()),
        "90 % ms": float(np.quantile(every, 0.9)),
        "phonemes": len(every),
    }


def hour_row() -> dict[str, float]:
    """An hour of noise through every packaged extractor, windows taken one after the other."""
    samples = np.random.default_rng(0).normal(0, 0.1, 3600 * SAMPLE_RATE).astype(np.float32)
    row = {}
    for extractor in EXTRACTORS.names():
        begin, cpu = time.monotonic(), time.process_time()
        windows = features_from_wav(samples, 3600 * FPS, extractor)
        checksum = sum(float(window[0, 0]) for window in windows)
        assert np.isfinite(checksum) and len(windows) == 3600 * FPS
        row[f"{extractor} s"] = time.monotonic() - begin
        row[f"{extractor} CPU s"] = time.process_time() - cpu
    row["peak MiB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return row


def word_errors(folder: Path) -> dict[str, float]:
    """Share of wrong words that pocketsphinx hears in sentence_NN.wav of a folder."""
    from pocketsphinx import Decoder

    decoder = Decoder(loglevel="FATAL")
    wrong = words = 0
    for number, text in enumerate(sentences(), 1):
        wav = folder / f"sentence_{number:02d}.wav"
        if not wav.exists():
            continue
        pcm = (read_audio(wav) * 32767).astype("<i2").tobytes()
        decoder.start_utt()
        decoder.process_raw(pcm, full_utt=True)
        decoder.end_utt()
        heard = decoder.hyp().hypstr.split() if decoder.hyp() else []
        said = re.sub(r"[^a-z' ]", "", text.lower().replace("é", "e")).split()
        wrong += _edits(said, heard)
        words += len(said)
    return {"word errors": wrong / max(words, 1), "words": words}


def _edits(said: list[str], heard: list[str]) -> int:
    """Least number of words to change, drop or add."""
    row = list(range(len(heard) + 1))
    for i, word in enumerate(said, 1):
        before, row[0] = row[0], i
        for j, other in enumerate(heard, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (word != other))
    return row[-1]


def main() -> None:
    """Print and write what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=Path, nargs="*", default=[])
    parser.add_argument("--sounds", type=Path, nargs="*", default=[], help="of other people")
    parser.add_argument("--actors", type=int, default=0, help="synthetic speakers of the probe")
    parser.add_argument("--sentences", type=int, default=0, help="for the alignment")
    parser.add_argument("--hour", action="store_true")
    parser.add_argument("--spoken", type=Path, help="folder of synthesized sentence_NN.wav")
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    result: dict[str, object] = {}
    if chosen.hour:
        result["hour"] = hour_row()
    talks = [read_talk(path) for path in chosen.clips]
    sounds = [read_audio(path) for path in chosen.sounds]
    for talk in talks:
        result[talk.name] = {"experts": expert_rows(talk, sounds), "offsets": offset_rows(talk)}
    if chosen.actors:
        result["probe"] = probe_rows(talks, chosen.actors)
    if chosen.sentences:
        result["alignment"] = alignment_row(sentences()[: chosen.sentences])
    if chosen.spoken:
        result["synthesis"] = word_errors(chosen.spoken)
    text = json.dumps(result, indent=1)
    LOG.info("%s", text)
    if chosen.json:
        chosen.json.write_text(text)


if __name__ == "__main__":
    main()
