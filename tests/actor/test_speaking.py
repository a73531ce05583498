"""Mouth movements: every sound has a shape, lips close on bilabials, lips lead the sound."""

from __future__ import annotations

import numpy as np
import pytest

from emotalk_core.actor.face_model import load_face_model
from emotalk_core.actor.sentences import SENTENCES
from emotalk_core.actor.speaking import LIP_LEAD, mouth_track
from emotalk_core.actor.visemes import VISEMES, visemes_of
from emotalk_core.speech.synthesis.base import Phoneme
from emotalk_core.speech.synthesis.espeak import espeak_phonemes

NAMES = load_face_model().expression_names


def column(track, name):
    return track[:, NAMES.index(name)]


def test_every_weight_of_a_viseme_exists():
    for viseme in VISEMES.values():
        assert set(viseme.expanded()) <= set(NAMES)


def test_every_sound_of_a_sentence_has_a_shape():
    _, phonemes = espeak_phonemes(SENTENCES[4])
    sounds = [p.name for p in phonemes if p.name != "_"]
    assert len(sounds) > 30
    assert [name for name in sounds if visemes_of(name) == ("rest",)] == []


def test_diphthong_has_two_shapes_and_unknown_rests():
    assert visemes_of("aI") == ("open", "wide")
    assert visemes_of("m") == ("closed",)
    assert visemes_of("_") == ("rest",)


def test_silence_is_a_resting_mouth():
    assert mouth_track([Phoneme("_", 0.0, 2.0)], 50, NAMES).max() == 0


def test_bilabial_closes_between_open_vowels():
    sounds = [Phoneme("A:", 0.0, 0.2), Phoneme("m", 0.2, 0.28), Phoneme("A:", 0.28, 0.5)]
    track = mouth_track(sounds, 13, NAMES, lead=0.0)
    jaw, press = column(track, "jawOpen"), column(track, "mouthPressLeft")
    assert jaw[6] < 0.08 and press[6] > 0.38  # frame 6 shows 0.24 s, the middle of the m
    assert jaw[2] > 0.35 and jaw[10] > 0.35


def test_lips_lead_the_sound():
    _, phonemes = espeak_phonemes("Mama made papa a map.")
    late = mouth_track(phonemes, 60, NAMES, lead=0.0)
    lead = mouth_track(phonemes, 60, NAMES, lead=0.04)
    assert np.allclose(lead[:-1], late[1:], atol=1e-6)  # 40 ms = one frame
    assert pytest.approx(0.05) == LIP_LEAD


def test_energy_scales_vowels_but_not_closures():
    sounds = [Phoneme("A:", 0.0, 0.3), Phoneme("b", 0.3, 0.4), Phoneme("_", 0.4, 1.0)]
    soft = mouth_track(sounds, 25, NAMES, energy=0.5, lead=0.0)
    loud = mouth_track(sounds, 25, NAMES, energy=1.0, lead=0.0)
    assert column(soft, "jawOpen")[3] < 0.6 * column(loud, "jawOpen")[3]
    assert column(soft, "mouthPressLeft").max() == pytest.approx(
        column(loud, "mouthPressLeft").max(), rel=0.02
    )
