"""Small charts as inline SVG text: lines over time or steps, the valence-arousal plane."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from emotalk_core.evaluation.tables.build import MINUS

WIDTH, HEIGHT = 520, 210
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 28, 34
PLANE = 420  # px, side of the valence-arousal plot
MAX_POINTS = 600  # of one line; more cannot be seen at this width


@dataclass(frozen=True)
class Line:
    """One named series; x ascending, nan breaks the line."""

    name: str
    x: Float[np.ndarray, " N"]
    y: Float[np.ndarray, " N"]


def _ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers inside [low, high]."""
    span = max(high - low, 1e-12)
    raw = span / count
    step = 10 ** math.floor(math.log10(raw))
    step *= next(f for f in (1, 2, 5, 10) if f * step >= raw)
    first = math.ceil(low / step - 1e-9)
    return [round(k * step, 10) for k in range(first, math.floor(high / step + 1e-9) + 1)]


def _thin(line: Line) -> Line:
    stride = max(1, len(line.x) // MAX_POINTS)
    return Line(line.name, line.x[::stride], line.y[::stride])


def _limits(lines: Sequence[Line], which: str) -> tuple[float, float]:
    values = np.concatenate([np.asarray(getattr(s, which), dtype=np.float64) for s in lines])
    values = values[np.isfinite(values)]
    if not len(values):
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    pad = 0.04 * (high - low) if which == "y" else 0.0
    return (low - pad, high + pad) if high > low else (low - 0.5, high + 0.5)


def _path(x: Float[np.ndarray, " N"], y: Float[np.ndarray, " N"]) -> str:
    """SVG path with a gap at every nan."""
    parts, pen = [], "M"
    for a, b in zip(x, y):
        if not (math.isfinite(a) and math.isfinite(b)):
            pen = "M"
            continue
        parts.append(f"{pen}{a:.1f} {b:.1f}")
        pen = "L"
    return "".join(parts)


def _tick_text(value: float) -> str:
    return f"{value:g}".replace("-", MINUS)


def line_chart(lines: Sequence[Line], x_title: str, y_title: str, description: str) -> str:
    """A chart with legend; colours come from the page's classes s0..s5 (light and dark)."""
    lines = [_thin(s) for s in lines if len(s.x)]
    if not lines:
        return ""
    (x0, x1), (y0, y1) = _limits(lines, "x"), _limits(lines, "y")
    across, down = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def px(x: Any) -> Any:
        return LEFT + (x - x0) / (x1 - x0) * across

    def py(y: Any) -> Any:
        return TOP + (y1 - y) / (y1 - y0) * down

    out = [
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{html.escape(description)}"><title>{html.escape(description)}</title>'
    ]
    for tick in _ticks(y0, y1, 4):
        y = float(py(tick))
        name = _tick_text(tick)
        out.append(f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>')
        out.append(
            f'<text class="tick" x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{name}</text>'
        )
    for tick in _ticks(x0, x1, 6):
        x = float(px(tick))
        out.append(
            f'<text class="tick" x="{x:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">'
            f"{_tick_text(tick)}</text>"
        )
    out.append(
        f'<text class="tick" x="{WIDTH - RIGHT}" y="{HEIGHT - 4}" text-anchor="end">'
        f"{html.escape(x_title)}</text>"
        f'<text class="tick" x="6" y="15">{html.escape(y_title)}</text>'
    )
    for index, line in enumerate(lines):
        out.append(f'<path class="line s{index % 6}" d="{_path(px(line.x), py(line.y))}"/>')
    out.append("</svg>")
    keys = "".join(
        f'<span class="key"><i class="dot s{i % 6}"></i>{html.escape(s.name)}</span>'
        for i, s in enumerate(lines)
    )
    return f'<div class="legend">{keys}</div>' + "".join(out)


def emotion_plane(
    pairs: Sequence[tuple[str, tuple[float, float], tuple[float, float]]], description: str
) -> str:
    """Targets (rings) and mean readings (dots) in the valence-arousal plane, joined by a line."""
    half = PLANE / 2
    unit = half - 34

    def spot(point: tuple[float, float]) -> tuple[float, float]:
        return half + point[0] * unit, half - point[1] * unit

    out = [
        f'<svg class="plane" viewBox="0 0 {PLANE} {PLANE}" role="img" '
        f'aria-label="{html.escape(description)}"><title>{html.escape(description)}</title>'
        f'<circle class="grid" cx="{half}" cy="{half}" r="{unit}"/>'
        f'<circle class="grid" cx="{half}" cy="{half}" r="{unit / 2}"/>'
        f'<path class="grid" d="M{half - unit} {half}H{half + unit}"/>'
        f'<path class="grid" d="M{half} {half - unit}V{half + unit}"/>'
        f'<text class="tick" x="{PLANE - 4}" y="{half - 6}" text-anchor="end">valence</text>'
        f'<text class="tick" x="{half + 6}" y="14">arousal</text>'
    ]
    for label, target, read in pairs:
        (tx, ty), (rx, ry) = spot(target), spot(read)
        out.append(f'<path class="join" d="M{tx:.1f} {ty:.1f}L{rx:.1f} {ry:.1f}"/>')
        out.append(f'<circle class="target" cx="{tx:.1f}" cy="{ty:.1f}" r="6"/>')
        out.append(f'<circle class="read" cx="{rx:.1f}" cy="{ry:.1f}" r="5"/>')
        out.append(
            f'<text class="name" x="{tx:.1f}" y="{ty - 10:.1f}" text-anchor="middle">'
            f"{html.escape(label)}</text>"
        )
    return "".join(out) + "</svg>"
