"""Numbers that the paper printed (arXiv 2502.00654v1, tables 1 to 3), as context only.

They were measured on other people, at 512 px, on compressed video and with other networks: they are
never a column or a row of our tables.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PaperTable:
    """One printed table."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def _table(title: str, text: str) -> PaperTable:
    """A table out of text: columns separated by two or more spaces, first line = header."""
    lines = [tuple(p.strip() for p in row.split("  ") if p.strip()) for row in text.splitlines()]
    header, *rows = [line for line in lines if line]
    assert all(len(row) == len(header) for row in rows), title
    return PaperTable(title, header, tuple(rows))


PAPER_TABLES = (
    _table(
        "Table 1, self-reconstruction",
        """
        method                PSNR   SSIM   LPIPS   LMD    Sync-E  Sync-C  AUE-U  AUE-L  FPS
        Ground truth          -      1      0       0      6.546   7.827   0      0      -
        ER-NeRF               33.06  0.935  0.0274  3.110  8.443   5.554   0.779  0.565  34
        GaussianTalker        33.02  0.939  0.0333  3.206  8.554   5.741   0.766  0.523  121
        TalkingGaussian       33.64  0.940  0.0256  2.610  8.129   5.919   0.279  0.550  108
        Ours w/o emo branch   33.87  0.944  0.0255  2.557  7.750   6.270   0.207  0.515  107
        Ours (the paper)      33.78  0.943  0.0267  2.638  7.702   6.279   0.278  0.520  101
        """,
    ),
    _table(
        "Table 2, cross-domain audio",
        """
        method            A Sync-E  A Sync-C  B Sync-E  B Sync-C
        Ground truth      7.589     7.158     7.398     7.112
        ER-NeRF           9.960     4.305     9.397     4.938
        GaussianTalker    10.208    4.375     9.419     5.001
        TalkingGaussian   9.369     4.835     9.009     5.261
        Ours (the paper)  9.262     4.930     8.746     5.426
        """,
    ),
    _table(
        "Table 3, emotion-conditioned",
        """
        method            Sync-E  Sync-C  V-RMSE  A-RMSE  V-SA   A-SA   E-Acc (top 3, %)
        Ground truth      7.830   7.042   -       -       -      -      -
        ER-NeRF           10.109  4.225   0.479   0.502   0.500  0.500  27.3
        GaussianTalker    10.243  4.539   0.491   0.503   0.500  0.500  22.9
        TalkingGaussian   9.580   4.779   0.467   0.474   0.515  0.500  29.1
        Ours (the paper)  9.082   5.152   0.352   0.383   0.766  0.637  46.6
        """,
    ),
)
