"""Phoneme times: against espeak-ng's own, of other voices and paces; a hand-worked path."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from emotalk_core.errors import InputError
from emotalk_core.speech.alignment import align, boundary_errors, carried_times
from emotalk_core.speech.synthesis.base import Phoneme
from emotalk_core.speech.synthesis.espeak import espeak_phonemes

TEXT = "Bob and Pam prefer warm bread with butter, plum jam and a pot of tea."


@pytest.mark.parametrize(("voice", "rate"), [("en-us+f3", 165), ("en-us+m7", 125)])
def test_times_of_another_voice(voice: str, rate: int) -> None:
    samples, true = espeak_phonemes(TEXT, voice, rate)
    noise = np.random.default_rng(0).normal(0, 0.01, len(samples)).astype(np.float32)
    found = align(samples + noise, TEXT)
    errors = boundary_errors(found, true)
    assert len(errors) >= 0.95 * len(true)
    assert errors.mean() < 0.02
    assert found[0].start == 0 and found[-1].end == pytest.approx(len(samples) / 16_000)
    assert all(a.end == b.start for a, b in itertools.pairwise(found))


def test_another_language() -> None:
    text = "Guten Morgen, heute scheint die Sonne über dem Wasser."
    samples, true = espeak_phonemes(text, "de+f2", 150)
    assert boundary_errors(align(samples, text, voice="de"), true).mean() < 0.03


def test_lengths_that_cannot_be_aligned() -> None:
    with pytest.raises(InputError, match=r"samples=0.00 s"):
        align(np.zeros(10, np.float32), TEXT)
    with pytest.raises(InputError, match="align each sentence"):
        align(np.zeros(61 * 16_000, np.float32), TEXT)


def test_a_path_by_hand() -> None:
    reference = np.eye(4)
    slow = np.repeat(reference, 2, axis=0)  # every column twice
    np.testing.assert_allclose(carried_times(reference, slow), [0.01, 0.03, 0.05, 0.07])
    np.testing.assert_allclose(carried_times(reference, reference), [0.005, 0.015, 0.025, 0.035])


def test_errors_are_of_common_phonemes() -> None:
    true = [Phoneme("p", 0.0, 0.1), Phoneme("a", 0.1, 0.2), Phoneme("t", 0.2, 0.3)]
    found = [Phoneme("p", 0.0, 0.12), Phoneme("t", 0.25, 0.3)]
    np.testing.assert_allclose(boundary_errors(found, true), [0.0, 0.05])
