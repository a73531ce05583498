"""Shading kernel: visible triangles in; colour, labels, normals and depth of every pixel out."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from emotalk_core.actor.face_model import BODY, LASHES, RIGHT_EYE, TONGUE, UPPER_TEETH
from emotalk_core.actor.kernels import INNER, OPTIONS
from emotalk_core.actor.layers import CLOTH, CURTAIN, FIRST_SHELL, FRAME
from emotalk_core.actor.materials import INNER_MOUTH, LIPS, material_at

SAMPLES = 2  # per pixel and axis
EDGE = 0.004  # relative step of inverse depth inside a pixel that asks for all samples
TONE_STEPS, TONE_WHITE = 4096, 2047.0  # table from linear light to sRGB, entries up to twice white
SHADOW_BIAS = 0.003  # metres behind a blocker that still count as lit
SHADOW_VARIANCE = 0.0025**2  # metres^2: the depth map's own coarseness
BLEED = 0.25  # share of a soft shadow that is cut away: hides light leaking behind two blockers
# Columns of FrameState.vertices
POINT, NORMAL, SCREEN, AMBIENT, REST = 0, 3, 6, 9, 11


class PaintArrays(NamedTuple):
    """Paint as kernels read it.

    texture [B,B,3] linear, reduced to texture_scale = B / A of its full size; labels [A,A];
    wrinkles [H,W,5]; iris [3], hair [3], frame [3] (glasses) linear colours; gloss of the skin.
    """

    texture: np.ndarray
    texture_scale: float
    labels: np.ndarray
    wrinkles: np.ndarray
    iris: np.ndarray
    hair: np.ndarray
    gloss: float
    frame: np.ndarray


class FrameState(NamedTuple):
    """What changes from frame to frame, camera axes, metres.

    vertices [V,14], one row together in memory: point (3), unit normal (3), screen x px, y px and
    depth (3), the mesh's five attributes; eyes [2,3] centres; wrinkle_depths [5]; inner_light 0..1,
    what an open mouth lets in; shadow [S,S,2]: mean and mean square of depth towards the key light;
    shadow_axes [3,3]: columns x px, y px, depth; shadow_origin [3].
    """

    vertices: np.ndarray
    eyes: np.ndarray
    wrinkle_depths: np.ndarray
    inner_light: float
    shadow: np.ndarray
    shadow_axes: np.ndarray
    shadow_origin: np.ndarray


class Targets(NamedTuple):
    """Pictures that the kernel writes: rgb, labels u8; normals [H,W,3], depth [H,W] float32."""

    rgb: np.ndarray
    labels: np.ndarray
    normals: np.ndarray
    depth: np.ndarray


def tone_table() -> np.ndarray:
    """Linear light (index / TONE_WHITE) to sRGB 0..255, soft shoulder, [TONE_STEPS]."""
    light = np.arange(TONE_STEPS) / TONE_WHITE
    soft = np.clip(1.15 * light / (1 + 0.16 * light), 0, 1)
    return (255 * soft ** (1 / 2.2)).astype(np.float32)


@njit(**INNER)
def _mix(rows, first, corners, weights):
    """Interpolate three neighbouring columns of the vertices' rows."""
    a, b, c = corners
    q, r, s = weights
    return (
        rows[a, first] * q + rows[b, first] * r + rows[c, first] * s,
        rows[a, first + 1] * q + rows[b, first + 1] * r + rows[c, first + 1] * s,
        rows[a, first + 2] * q + rows[b, first + 2] * r + rows[c, first + 2] * s,
    )


@njit(**INNER)
def _unit(x, y, z):
    length = 1 / (np.sqrt(x * x + y * y + z * z) + 1e-12)
    return x * length, y * length, z * length


@njit(**INNER)
def _weights(rows, a, b, c, x, y):
    """Perspective-correct weights of the sample at column x, row y."""
    ax, ay = rows[a, SCREEN], rows[a, SCREEN + 1]
    bx, by = rows[b, SCREEN], rows[b, SCREEN + 1]
    cx, cy = rows[c, SCREEN], rows[c, SCREEN + 1]
    area = (by - cy) * (ax - cx) + (cx - bx) * (ay - cy)
    dx, dy = x + 0.5 - cx, y + 0.5 - cy
    u = ((by - cy) * dx + (cx - bx) * dy) / area
    v = ((cy - ay) * dx + (ax - cx) * dy) / area
    w = (1 - u - v) / rows[c, SCREEN + 2]
    u, v = u / rows[a, SCREEN + 2], v / rows[b, SCREEN + 2]
    total = u + v + w
    return u / total, v / total, w / total


@njit(**INNER)
def _shadow(state, px, py, pz):
    """Share of the key light at a point: a variance shadow map (Donnelly, Lauritzen 2006)."""
    axes, size = state.shadow_axes, state.shadow.shape[0]
    dx = px - state.shadow_origin[0]
    dy = py - state.shadow_origin[1]
    dz = pz - state.shadow_origin[2]
    x = dx * axes[0, 0] + dy * axes[1, 0] + dz * axes[2, 0] + size * 0.5 - 0.5
    y = dx * axes[0, 1] + dy * axes[1, 1] + dz * axes[2, 1] + size * 0.5 - 0.5
    if x < 0 or y < 0 or x >= size - 1.001 or y >= size - 1.001:
        return 1.0
    i, j = int(y), int(x)
    fy, fx = y - i, x - j
    w00, w10, w01, w11 = (1 - fx) * (1 - fy), fx * (1 - fy), (1 - fx) * fy, fx * fy
    m = state.shadow
    mean = m[i, j, 0] * w00 + m[i, j + 1, 0] * w10 + m[i + 1, j, 0] * w01 + m[i + 1, j + 1, 0] * w11
    square = m[i, j, 1] * w00 + m[i, j + 1, 1] * w10
    square += m[i + 1, j, 1] * w01 + m[i + 1, j + 1, 1] * w11
    depth = dx * axes[0, 2] + dy * axes[1, 2] + dz * axes[2, 2] + SHADOW_BIAS
    if depth >= mean:
        return 1.0
    variance = max(square - mean * mean, SHADOW_VARIANCE)
    lit = variance / (variance + (mean - depth) ** 2)
    return min(max((lit - BLEED) / (1 - BLEED), 0.0), 1.0)


@njit(**INNER)
def _half_angle(normal, view, light):
    """Cosine between the normal and the half vector of view and light."""
    hx, hy, hz = _unit(light[0] + view[0], light[1] + view[1], light[2] + view[2])
    return max(normal[0] * hx + normal[1] * hy + normal[2] * hz, 0.0)


@njit(**INNER)
def _highlight(part, material, normal, view, lights, lit, ambient, grazing):
    """Specular light of key and fill: two sharp spots on the eye, soft gloss elsewhere."""
    key = _half_angle(normal, view, lights[0])
    fill = _half_angle(normal, view, lights[1])
    gloss, doublings = material[4], int(material[5])
    if BODY < part <= RIGHT_EYE:
        return (1.4 if key > 0.9965 else 0.0) * lit + (0.12 if fill > 0.99 else 0.0)
    for _ in range(doublings):
        key, fill = key * key, fill * fill
    scale = gloss * (2**doublings + 8) * 0.06 * ambient
    return scale * ((1 + 3 * grazing) * key * lit + 0.35 * fill)


@njit(**INNER)
def _strand_shine(normal, view, light, lit):
    """Highlight across strands that hang down the surface (Kajiya, Kay 1989)."""
    tx, ty, tz = _unit(-normal[0] * normal[1], 1 - normal[1] * normal[1], -normal[2] * normal[1])
    hx, hy, hz = _unit(light[0] + view[0], light[1] + view[1], light[2] + view[2])
    along = tx * hx + ty * hy + tz * hz
    return max(1 - along * along, 0.0) ** 18 * 0.07 * lit


@njit(**INNER)
def _light(part, material, normal, view, ambient, lit, lights, colours, out):
    """Linear light of a sample: wrapped key with red bleed, fill, rim, hemisphere, highlights."""
    nx, ny, nz = normal
    wrap = material[6]
    key = nx * lights[0, 0] + ny * lights[0, 1] + nz * lights[0, 2]
    green = min(max((key + wrap) / (1 + wrap), 0.0), 1.0) * lit
    red, blue = green, green
    if material[7] > 0:
        far = min(max((key + wrap + 0.22) / (1.22 + wrap), 0.0), 1.0) * lit
        red = 0.55 * far + 0.45 * green
        blue = min(max((key + 0.2) / 1.2, 0.0), 1.0) * lit
    fill = nx * lights[1, 0] + ny * lights[1, 1] + nz * lights[1, 2]
    fill = max(fill + 0.4, 0.0) / 1.4 * ambient
    sky = (0.775 - 0.225 * ny) * (ambient if part == CLOTH else max(ambient * ambient, 0.10))
    facing = max(nx * view[0] + ny * view[1] + nz * view[2], 0.0)
    grazing = (1 - facing) ** 3
    rim = max(nx * lights[2, 0] + ny * lights[2, 1] + nz * lights[2, 2], 0.0) * grazing * ambient
    shine = 0.0
    if material[4] > 0:
        shine = _highlight(part, material, normal, view, lights, lit, ambient, grazing)
    strand = 0.0
    if part == CURTAIN or (part >= FIRST_SHELL and part != FRAME):
        strand = _strand_shine(normal, view, lights[0], lit)
    albedo = (material[0], material[1], material[2])
    for k in range(3):
        direct = red if k == 0 else (green if k == 1 else blue)
        diffuse = colours[0, k] * direct + colours[1, k] * fill + colours[3, k] * sky
        out[k] = albedo[k] * diffuse + colours[2, k] * rim * (albedo[k] + 0.05)
        out[k] += shine + strand * (0.3 + 4 * albedo[k])


@njit(**INNER)
def _shade_sample(mesh, paint, state, lights, colours, t, x, y, light, normal_out):
    """Colour (into `light`) and normal of one sample; returns its label."""
    a, b, c = mesh.triangles[t, 0], mesh.triangles[t, 1], mesh.triangles[t, 2]
    part = mesh.part[t]
    rows, corners = state.vertices, (a, b, c)
    weights = _weights(rows, a, b, c, x, y)
    q, r, s = weights
    px, py, pz = _mix(rows, POINT, corners, weights)
    nx, ny, nz = _mix(rows, NORMAL, corners, weights)
    if BODY < part <= RIGHT_EYE:
        eye = part - 1
        nx, ny = px - state.eyes[eye, 0], py - state.eyes[eye, 1]
        nz = pz - state.eyes[eye, 2]
    nx, ny, nz = _unit(nx, ny, nz)
    vx, vy, vz = _unit(-px, -py, -pz)
    if part >= LASHES and nx * vx + ny * vy + nz * vz < 0:
        nx, ny, nz = -nx, -ny, -nz
    ambient, crease, rx = _mix(rows, AMBIENT, corners, weights)
    rx, ry, rz = _mix(rows, REST, corners, weights)
    tu = mesh.uv[t, 0, 0] * q + mesh.uv[t, 1, 0] * r + mesh.uv[t, 2, 0] * s
    tv = mesh.uv[t, 0, 1] * q + mesh.uv[t, 1, 1] * r + mesh.uv[t, 2, 1] * s
    material = material_at(mesh, paint, state, part, tu, tv, crease, rx, ry, rz)
    lit = _shadow(state, px, py, pz)
    if BODY < part <= RIGHT_EYE:
        ambient = min(1.0, ambient * 1.25)
    elif UPPER_TEETH <= part < TONGUE:  # right behind the lips: light reaches them first
        ambient, lit = 0.70 + 0.25 * state.inner_light, lit * (0.6 + 0.4 * state.inner_light)
    elif part == TONGUE or material[3] == INNER_MOUTH:
        # Ambient visibility was baked with closed lips; the opening decides instead
        ambient, lit = 0.55 + 0.35 * state.inner_light, lit * (0.3 + 0.7 * state.inner_light)
    elif material[3] == LIPS:
        ambient = max(ambient, 0.6)
    view = (vx, vy, vz)
    _light(part, material, (nx, ny, nz), view, ambient, lit, lights, colours, light)
    normal_out[0], normal_out[1], normal_out[2] = nx, ny, nz
    return material[3]


@njit(**INNER)
def _kind(mesh, triangle_id, inverse_depth, row, column):
    """Kind of a pixel: 0 background, 1 inside skin or cloth, 2 an edge or fine structure."""
    first = triangle_id[row, column]
    part = -1 if first < 0 else int(mesh.part[first])
    if part > 0 and part != CLOTH:
        return 2
    low = high = inverse_depth[row, column]
    for i in range(SAMPLES):
        for j in range(SAMPLES):
            t = triangle_id[row + i, column + j]
            if (-1 if t < 0 else int(mesh.part[t])) != part:
                return 2
            low = min(low, inverse_depth[row + i, column + j])
            high = max(high, inverse_depth[row + i, column + j])
    if part < 0:
        return 0
    return 1 if high - low < EDGE * high else 2


@njit(**INNER)
def _mean_depth(inverse_depth, row, column):
    """Depth at the centre of a pixel inside a surface: inverse depth is linear on the screen."""
    total = 0.0
    for i in range(SAMPLES):
        for j in range(SAMPLES):
            total += inverse_depth[row + i, column + j]
    return SAMPLES * SAMPLES / total


@njit(**INNER)
def _write(targets, row, column, label, colour, normal, depth, share):
    """Store one pixel; colour and depth are sums, `share` one over the number of colours."""
    for k in range(3):
        targets.rgb[row, column, k] = int(min(colour[k] * share + 0.5, 255.0))
    targets.labels[row, column] = label
    targets.depth[row, column] = depth
    x, y, z = 0.0, 0.0, 0.0
    if label > 0:
        x, y, z = _unit(normal[0], normal[1], normal[2])
    targets.normals[row, column, 0] = x
    targets.normals[row, column, 1] = y
    targets.normals[row, column, 2] = z


@njit(**INNER)
def _winner(labels, n):
    """The label that most samples carry; the earlier sample wins a tie."""
    best, most = labels[0], 0
    for i in range(n):
        votes = 0
        for j in range(n):
            votes += labels[j] == labels[i]
        if votes > most:
            best, most = labels[i], votes
    return best


@njit(**OPTIONS)
def shade(
    mesh, paint, state, lights, colours, background, tones, triangle_id, inverse_depth, targets
):
    """Shade all pixels; background [H,W,3] is sRGB 0..255, the buffers have SAMPLES per pixel.

    The label of a pixel is that of most samples; its normal and depth are the mean over those.
    """
    height, width = targets.labels.shape
    n_all = SAMPLES * SAMPLES
    light, colour, total = np.zeros(3), np.zeros(3), np.zeros(3)
    labels, depths, normals = np.zeros(n_all, np.int64), np.zeros(n_all), np.zeros((n_all, 3))
    for row in range(height):
        for column in range(width):
            y0, x0 = row * SAMPLES, column * SAMPLES
            kind = _kind(mesh, triangle_id, inverse_depth, y0, x0)
            for k in range(3):
                colour[k] = 0.0 if kind else background[row, column, k]
                total[k] = 0.0
            n = 0 if kind else 1
            labels[0] = 0
            # Inside a smooth surface the pixel's centre is enough, weighed by its first triangle
            centre = 0.5 * (SAMPLES - 1) if kind == 1 else 0.0
            for sample in range(1 if kind == 1 else (n_all if kind else 0)):
                i, j = sample // SAMPLES, sample % SAMPLES
                x, y = x0 + j + centre, y0 + i + centre
                t = triangle_id[y0 + i, x0 + j]
                labels[n], depths[n] = 0, 0.0
                if t < 0:
                    for k in range(3):
                        colour[k] += background[row, column, k]
                else:
                    labels[n] = _shade_sample(
                        mesh, paint, state, lights, colours, t, x, y, light, normals[n]
                    )
                    depths[n] = 1 / inverse_depth[y0 + i, x0 + j]
                    for k in range(3):
                        colour[k] += tones[min(int(light[k] * TONE_WHITE), TONE_STEPS - 1)]
                n += 1
            if kind == 1:
                depths[0] = _mean_depth(inverse_depth, y0, x0)
            label = _winner(labels, n)
            depth, same = 0.0, 0
            for i in range(n):
                if labels[i] == label and label > 0:
                    depth += depths[i]
                    same += 1
                    for k in range(3):
                        total[k] += normals[i, k]
            _write(targets, row, column, label, colour, total, depth / max(same, 1), 1 / n)
