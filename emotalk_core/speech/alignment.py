"""A recording and its text in, the time of every phoneme out, in any language that espeak-ng reads.

espeak-ng speaks the text and tells exactly when each phoneme sounds; dynamic time warping of both
log-mel spectrograms carries these times over to the recording.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Float, Float32, Int

from emotalk_core.errors import InputError, explain
from emotalk_core.speech.features.mel import HOP, log_mel
from emotalk_core.speech.synthesis.base import Phoneme
from emotalk_core.speech.synthesis.espeak import espeak_phonemes
from emotalk_core.types.manifest import SAMPLE_RATE

N_MELS = 40
DYNAMIC_RANGE = 9.0  # natural logarithm of power below the loudest value; below is room noise
STEP_COST = 0.2  # of holding one side, over the median distance: keeps the path from stalling
LONGEST = 60.0  # s; the table of distances grows with the square of the length
COLUMN_SECONDS = HOP / SAMPLE_RATE


def align(
    samples: Float32[np.ndarray, " N"], text: str, voice: str = "en-us", rate: int = 150
) -> list[Phoneme]:
    """When each phoneme of a text sounds in a recording of it.

    Args:
        samples: 16 kHz mono, this text and nothing else.
        text: what is said.
        voice: espeak-ng voice of the text's language.
        rate: words a minute of the reference; near the speaker's own pace is best.

    Returns:
        Phonemes from 0 to the end of the recording, neighbours touch; "_" is silence. Phonemes
        for which no time is left are dropped.

    Raises:
        InputError: the recording is empty or longer than a minute (align sentence by sentence).
    """
    seconds = len(samples) / SAMPLE_RATE
    if not 0.1 <= seconds <= LONGEST:
        wanted = f"wanted .1 to {LONGEST:g} s"
        raise InputError(explain("samples", f"{seconds:.2f} s", wanted, "align each sentence"))
    spoken, phonemes = espeak_phonemes(text, voice, rate)
    carried = carried_times(_columns(spoken), _columns(np.asarray(samples, dtype=np.float32)))
    middles = (np.arange(len(carried)) + 0.5) * COLUMN_SECONDS
    starts = np.interp([p.start for p in phonemes], middles, carried)
    starts[0] = 0.0
    ends = np.append(starts[1:], seconds)
    moved = [replace(p, start=float(s), end=float(e)) for p, s, e in zip(phonemes, starts, ends)]
    return [p for p in moved if p.end > p.start]


def boundary_errors(found: list[Phoneme], true: list[Phoneme]) -> Float[np.ndarray, " B"]:
    """Seconds between the starts of phonemes that both lists have, matched in order by name."""
    from difflib import SequenceMatcher

    said, wanted = ([p.name for p in phonemes] for phonemes in (found, true))
    blocks = SequenceMatcher(None, said, wanted, autojunk=False).get_matching_blocks()
    pairs = [(found[b.a + k], true[b.b + k]) for b in blocks for k in range(b.size)]
    return np.array([abs(a.start - b.start) for a, b in pairs])


def carried_times(
    reference: Float[np.ndarray, "A D"], recording: Float[np.ndarray, "B D"]
) -> Float[np.ndarray, " A"]:
    """Seconds in the recording at which each column of the reference sounds, never falling."""
    squares = (reference**2).sum(axis=1)[:, None] + (recording**2).sum(axis=1)[None]
    apart = np.sqrt(np.maximum(squares - 2 * reference @ recording.T, 0.0))
    rows, columns = _cheapest_path(apart)
    total = np.bincount(rows, weights=columns + 0.5)
    return total / np.bincount(rows) * COLUMN_SECONDS


def _columns(samples: Float32[np.ndarray, " N"]) -> Float[np.ndarray, "C 40"]:
    """Log-mel columns without level, microphone and room noise."""
    columns = log_mel(samples, N_MELS).astype(np.float64)
    columns = np.maximum(columns, columns.max() - DYNAMIC_RANGE)
    columns -= columns.mean(axis=0)
    return columns / max(float(columns.std()), 1e-6)


def _cheapest_path(
    apart: Float[np.ndarray, "A B"],
) -> tuple[Int[np.ndarray, " P"], Int[np.ndarray, " P"]]:
    """Rows and columns of the cheapest way from corner to corner; whole diagonals at once."""
    n, m = apart.shape
    hold = STEP_COST * float(np.median(apart))
    cost = np.full((n + 1, m + 1), np.inf)
    cost[0, 0] = 0.0
    came = np.zeros((n, m), dtype=np.int8)  # 0 from both, 1 from the row above, 2 from the left
    for diagonal in range(n + m - 1):
        i = np.arange(max(0, diagonal - m + 1), min(n, diagonal + 1))
        j = diagonal - i
        ways = np.stack([cost[i, j], cost[i, j + 1] + hold, cost[i + 1, j] + hold])
        came[i, j] = ways.argmin(axis=0)
        cost[i + 1, j + 1] = ways.min(axis=0) + apart[i, j]
    row, column = n - 1, m - 1
    path = [(row, column)]
    while row or column:
        way = int(came[row, column])
        row, column = row - (way != 2), column - (way != 1)
        path.append((row, column))
    rows, columns = np.array(path[::-1]).T
    return rows, columns
