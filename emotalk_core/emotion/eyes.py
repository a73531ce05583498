"""A warped frame in, the same with repainted eyes out: lids moved, irises round and still."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from emotalk_core.emotion.landmark_sets import IRIS_CENTRE, IRIS_RIM, LIDS
from emotalk_core.emotion.measures import eye_distance, eye_openings

IRIS_MARGIN = 1.02  # landmarks of the rim lie slightly inside the dark ring
FULL_STRETCH_AT = 0.02  # opening gain (eye distances) from which the white follows the lids fully
LASH_SHARE = 0.14  # of the iris radius: rim of the old opening that is lash and shadow, not eye
KEEP_OUT = 1.22  # the white is sampled at least this many iris radii from the iris' centre
RIGID_ZONE = (0.97, 0.10)  # start and width (iris radii) of the blend from iris to white
PLAIN_ZONE = (1.35, 0.35)  # start and width (iris radii) of the blend back to the plain stretch
EDGE_ERODE, EDGE_BLUR = 0.006, 0.005  # of the eye distance: the layer stays off the lid's rim
MIN_OPENING = 0.05  # eye distances: a narrower eye that does not open further needs no layer

Patch = Float[np.ndarray, "h w 3"]


def paint_eyes(
    source: UInt8[np.ndarray, "H W 3"],
    warped: UInt8[np.ndarray, "H W 3"],
    before: Float[np.ndarray, "478 2"],
    after: Float[np.ndarray, "478 2"],
    flow: Float[np.ndarray, "H W 2"],
) -> UInt8[np.ndarray, "H W 3"]:
    """Repaint both eye openings of a warped frame.

    A closing lid slides over the unmoved eye; an opening lid uncovers an iris that is completed
    from its own other half, and white that is stretched around it.

    Args:
        source: the frame as filmed.
        warped: the frame after the flow.
        before: landmarks of the frame, px.
        after: landmarks after the motion, px.
        flow: the backward flow, px.
    """
    result = warped.copy()
    before, after = (
        before[:, :2] - 0.5,
        after[:, :2] - 0.5,
    )  # to pixel indices, as images are sampled
    opened, opens = eye_openings(before), eye_openings(after)
    for side in LIDS:
        gained = opens[side] - opened[side]
        if opened[side] < MIN_OPENING and gained <= 1e-3:
            continue
        _paint_eye(
            source,
            result,
            side,
            before,
            after,
            flow,
            float(np.clip(gained / FULL_STRETCH_AT, 0, 1)),
        )
    return result


def _paint_eye(
    source: UInt8[np.ndarray, "H W 3"],
    result: UInt8[np.ndarray, "H W 3"],
    side: str,
    before: Float[np.ndarray, "478 2"],
    after: Float[np.ndarray, "478 2"],
    flow: Float[np.ndarray, "H W 2"],
    stretch: float,
) -> None:
    """Paint one eye into `result` in place; the white follows the lids by `stretch` (0..1)."""
    height, width = source.shape[:2]
    unit = eye_distance(before)
    outline = _outline(after, side)
    x0, y0 = np.maximum(np.floor(outline.min(axis=0)).astype(int) - 4, 0)
    x1, y1 = np.minimum(np.ceil(outline.max(axis=0)).astype(int) + 5, [width, height])
    if x1 - x0 < 3 or y1 - y0 < 3:
        return
    mask = _fill(outline - [x0, y0], (y1 - y0, x1 - x0))
    radius = max(1, round(unit * EDGE_ERODE))
    mask = cv2.erode(mask, np.ones((2 * radius + 1,) * 2, np.uint8)).astype(np.float32)
    mask = cv2.GaussianBlur(mask, (0, 0), max(0.5, unit * EDGE_BLUR))[..., None]

    xs, ys = np.meshgrid(np.arange(x0, x1, dtype=np.float32), np.arange(y0, y1, dtype=np.float32))
    local = flow[y0:y1, x0:x1]
    from_x = xs + np.float32(stretch) * local[..., 0]
    from_y = ys + np.float32(stretch) * local[..., 1]
    painted = _sample(source, from_x, from_y)
    if stretch > 0.05:
        painted = _rigid_iris(source, painted, side, before, (xs, ys), (from_x, from_y))
    patch = result[y0:y1, x0:x1]
    patch[:] = np.clip(np.rint(patch * (1 - mask) + painted * mask), 0, 255).astype(np.uint8)


def _rigid_iris(
    source: UInt8[np.ndarray, "H W 3"],
    stretched: Patch,
    side: str,
    before: Float[np.ndarray, "478 2"],
    here: tuple[Float[np.ndarray, "h w"], Float[np.ndarray, "h w"]],
    origin: tuple[Float[np.ndarray, "h w"], Float[np.ndarray, "h w"]],
) -> Patch:
    """Replace the stretched iris by a round one in its old place.

    Args:
        source: the frame as filmed.
        stretched: the eye as the flow alone would show it.
        side: of the person.
        before: landmarks of the frame, pixel indices.
        here: pixel coordinates of the patch.
        origin: where the stretch takes each pixel from.
    """
    xs, ys = here
    centre = before[IRIS_CENTRE[side], :2]
    rim = before[list(IRIS_RIM[side]), :2]
    radius = float(np.linalg.norm(rim - centre, axis=1).mean()) * IRIS_MARGIN
    cx, cy = np.float32(centre[0]), np.float32(centre[1])
    distance = np.hypot(xs - cx, ys - cy) / radius
    sideways = np.where(xs >= cx, np.float32(1), np.float32(-1))

    seen = _old_opening((source.shape[0], source.shape[1]), before, side, radius)
    mirrored_y = 2 * cy - ys
    visible = cv2.remap(seen, xs, ys, cv2.INTER_LINEAR)[..., None]
    visible_mirrored = cv2.remap(seen, xs, mirrored_y, cv2.INTER_LINEAR)[..., None]
    # hidden parts come from the lower half, else from the same radius on the horizontal axis
    own = _sample(source, xs, ys)
    mirrored = _sample(source, xs, mirrored_y)
    level = _sample(source, cx + sideways * distance * radius, np.full_like(ys, cy))
    hidden = visible_mirrored * mirrored + (1 - visible_mirrored) * level
    iris = visible * own + (1 - visible) * hidden

    # the white: where the stretch would sample the iris, sample beside it at the same height
    from_x, from_y = origin
    rise = np.clip((from_y - cy) / radius, -1.2, 1.2)
    clear = np.sqrt(np.maximum(KEEP_OUT**2 - rise**2, 0)) * radius
    beside = np.where(np.abs(from_x - cx) < clear, cx + sideways * clear, from_x)
    white = cv2.GaussianBlur(_sample(source, beside, from_y), (0, 0), max(0.5, radius * 0.06))

    out_of_iris = np.clip((distance - RIGID_ZONE[0]) / RIGID_ZONE[1], 0, 1)[..., None]
    eye = iris * (1 - out_of_iris) + white * out_of_iris
    plain = np.clip((distance - PLAIN_ZONE[0]) / PLAIN_ZONE[1], 0, 1)[..., None]
    return eye * (1 - plain) + stretched * plain


def _old_opening(
    size: tuple[int, int], before: Float[np.ndarray, "478 2"], side: str, radius: float
) -> Float[np.ndarray, "H W"]:
    """Where the filmed frame shows the eye itself: inside the lids, off lashes and their shadow."""
    mask = _fill(_outline(before, side), size)
    rim = max(1, round(radius * LASH_SHARE))
    mask = cv2.erode(mask, np.ones((2 * rim + 1, 1), np.uint8)).astype(np.float32)
    return cv2.GaussianBlur(mask, (0, 0), max(0.6, radius * 0.07))


def _outline(landmarks: Float[np.ndarray, "478 2"], side: str) -> Float[np.ndarray, "N 2"]:
    """Closed outline of an eye opening."""
    upper, lower = LIDS[side]
    return landmarks[[*upper, *lower[::-1]], :2]


def _fill(outline: Float[np.ndarray, "N 2"], size: tuple[int, int]) -> UInt8[np.ndarray, "H W"]:
    """Filled polygon (1 inside), corners in sixteenths of a pixel."""
    mask = np.zeros(size, np.uint8)
    cv2.fillPoly(mask, [np.round(outline * 16).astype(np.int32)], (1,), cv2.LINE_8, 4)
    return mask


def _sample(
    image: UInt8[np.ndarray, "H W 3"], x: Float[np.ndarray, "h w"], y: Float[np.ndarray, "h w"]
) -> Patch:
    """Cubic samples of the image at given positions, float32."""
    values = cv2.remap(
        image,
        np.asarray(x, np.float32),
        np.asarray(y, np.float32),
        cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return values.astype(np.float32)
