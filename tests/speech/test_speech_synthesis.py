"""Synthesis: exact phonemes, the same samples twice, sentences, levels, refusals."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from emotalk_core.errors import ConfigError, InputError
from emotalk_core.media.audio import read_audio
from emotalk_core.speech.level import loudness
from emotalk_core.speech.resampling import resample
from emotalk_core.speech.synthesis.base import PAUSE
from emotalk_core.speech.synthesis.espeak import _phonemes, espeak_phonemes
from emotalk_core.speech.synthesis.sentences import sentence, sentences
from emotalk_core.speech.synthesis.stage import (
    ENGINES,
    SynthesisSettings,
    load_engine,
    synthesize_sentence,
)


def test_phonemes_touch_and_cover_the_sound() -> None:
    samples, phonemes = espeak_phonemes("Bob met my mum.")
    assert samples.dtype == np.float32 and 0.05 < np.abs(samples).max() <= 1
    assert phonemes[0].start == 0
    assert phonemes[-1].end == pytest.approx(len(samples) / 16_000)
    for a, b in itertools.pairwise(phonemes):
        assert a.end == b.start and a.start < a.end
    spoken = [p.name for p in phonemes if p.name != PAUSE]
    assert spoken[:3] == ["b", "0", "b"] and spoken.count("m") == 4
    assert next(p.name for p in phonemes if p.stressed) == "0"


def test_vowels_are_louder_than_pauses_at_their_times() -> None:
    samples, phonemes = espeak_phonemes("Anna, go home.")
    level = {
        kind: np.mean(
            [
                np.abs(samples[round(16_000 * p.start) : round(16_000 * p.end)]).mean()
                for p in phonemes
                if (p.name == PAUSE) == (kind == "pause") and p.end - p.start > 0.03
            ]
        )
        for kind in ("pause", "sound")
    }
    assert level["sound"] > 10 * level["pause"]


def test_the_same_text_gives_the_same_samples_and_rate_changes_length() -> None:
    a, b = espeak_phonemes("One, two, three.")[0], espeak_phonemes("One, two, three.")[0]
    np.testing.assert_array_equal(a, b)
    assert len(espeak_phonemes("One, two, three.", rate=300)[0]) < 0.7 * len(a)
    assert len(espeak_phonemes("Guten Morgen, Frau Müller.", voice="de")[1]) > 10


def test_events_become_intervals() -> None:
    found = _phonemes([("'a", 0.1), ("_:", 0.3), ("t", 0.3), ("", 0.4)], 0.5)
    assert [(p.name, p.start, p.end, p.stressed) for p in found] == [
        ("_", 0.0, 0.1, False),
        ("a", 0.1, 0.3, True),
        ("t", 0.3, 0.4, False),
        ("_", 0.4, 0.5, False),
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"text": " ... "}, "at least one letter"),
        ({"text": "hello", "rate": 10}, r"80\.\.450"),
        ({"text": "hello", "voice": "klingon-x"}, "no voice"),
    ],
)
def test_espeak_refusals(arguments: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        espeak_phonemes(**arguments)


def test_sixty_sentences_hold_every_sound_of_english_several_times() -> None:
    _, phonemes = espeak_phonemes(" ".join(sentences()[10:]), "en-us", 400)
    counts = Counter(p.name for p in phonemes)
    consonants = [
        "p",
        "b",
        "t",
        "d",
        "k",
        "g",
        "m",
        "n",
        "N",
        "f",
        "v",
        "T",
        "D",
        "s",
        "z",
        "S",
        "Z",
        "h",
        "tS",
        "dZ",
        "l",
        "r",
        "w",
        "j",
    ]
    vowels = [
        "i:",
        "I",
        "E",
        "a",
        "0",
        "O:",
        "U",
        "u:",
        "V",
        "3:",
        "3",
        "@",
        "@2",
        "eI",
        "aI",
        "OI",
        "aU",
        "oU",
        "e@",
        "A@",
        "o@",
    ]
    assert {name for name in consonants + vowels if counts[name] < 4} == set()
    seen = sum(
        counts[name] for name in ["p", "b", "m", "f", "v", "w", "S", "Z", "tS", "dZ", "T", "D"]
    )
    assert seen > 0.2 * (counts.total() - counts[PAUSE])  # sounds that show on the lips


def test_ten_sentences_of_the_paper_come_first() -> None:
    assert len(sentences()) == 70 == len(set(sentences()))
    assert sentence(1) == "The quick brown fox jumps over the lazy dog."
    assert sentence(10) == "We can meet at the café if you'd like."
    for wrong in (0, 71):
        with pytest.raises(InputError, match=r"1\.\.70"):
            sentence(wrong)


@pytest.mark.parametrize("engine", ENGINES.names())
def test_every_engine_speaks_at_natural_level_and_repeats_itself(
    engine: str, tmp_path: Path
) -> None:
    settings = SynthesisSettings(engine=engine)
    for name in ("a.wav", "b.wav"):
        synthesize_sentence(wav=tmp_path / name, index=7, settings=settings)
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()
    samples = read_audio(tmp_path / "a.wav")
    assert 0.8 < len(samples) / 16_000 < 3
    assert not samples[: round(0.2 * 16_000)].any()
    spoken = samples[round(0.2 * 16_000) : -round(0.4 * 16_000)]
    assert loudness(spoken) == pytest.approx(0.15, abs=0.01)
    assert np.abs(samples).max() < 1


def test_speed_and_unknown_engine() -> None:
    slow = load_engine(SynthesisSettings("espeak", speed=0.8)).speak("Good morning.")
    fast = load_engine(SynthesisSettings("espeak", speed=1.6)).speak("Good morning.")
    assert len(slow.samples) > 1.4 * len(fast.samples)
    with pytest.raises(ConfigError, match="did you mean 'espeak'"):
        load_engine(SynthesisSettings("espaek"))
    with pytest.raises(InputError, match=r"\.onnx"):
        load_engine(SynthesisSettings("piper", voice="absent.onnx"))


def test_resampling_keeps_time_and_pitch() -> None:
    time = np.arange(22_050) / 22_050
    tone = np.sin(2 * np.pi * 300 * time).astype(np.float32)
    out = resample(tone, 22_050, 16_000)
    assert len(out) == 16_000 and np.abs(np.fft.rfft(out)).argmax() == 300
    expected = np.sin(2 * np.pi * 300 * np.arange(16_000) / 16_000)
    assert np.abs(out - expected)[200:-200].max() < 0.01
    assert resample(tone, 16_000, 16_000) is tone
