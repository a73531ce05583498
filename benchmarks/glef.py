"""The tiny g_LEF (64 px) end to end on actor faces: trains, measures, draws curves and pictures.

    python -m benchmarks.glef --out FOLDER [--train-tiny] [--epochs 24] [--threads 1]
    python -m benchmarks.glef --out FOLDER --full-size    # one step at 1024 px, random weights

`--train-tiny` first trains the packaged tiny networks anew (their training rule; a few minutes)
and writes them to FOLDER/tiny.safetensors. Then g_LEF is trained twice, with and without the lip
branch, on speaking faces without emotion of the one actor whom the tiny generator knows. Lips are
measured by the packaged landmark detector and by the tiny one, emotion by the packaged emotion
reader and by the tiny one, on frames that g_LEF was not trained on. Output: table on the terminal,
report.json, curves.csv, picture.png.
"""

from __future__ import annotations

import argparse
import json
import logging
import resource
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import torch
from torch import Tensor

from emotalk_core.emotion.glef.actor_faces import ActorFaces, actor_faces
from emotalk_core.emotion.glef.align import POINTS_68
from emotalk_core.emotion.glef.critics import Critics
from emotalk_core.emotion.glef.lips import LIPS, heatmap_points
from emotalk_core.emotion.glef.losses import read_truth
from emotalk_core.emotion.glef.model import (
    TINY,
    GlefShape,
    LipAlignedGenerator,
    build_emotion,
    build_encoder,
    build_generator,
)
from emotalk_core.emotion.glef.networks import GlefNetworks, load_tiny_networks
from emotalk_core.emotion.glef.published import EmoNetReading, FanHeatmaps, VggFaceFeatures
from emotalk_core.emotion.glef.settings import GlefSettings
from emotalk_core.emotion.glef.tiny_training import STAR, TinyBudget, train_tiny_networks
from emotalk_core.perception.emotion.emonet import EmoNet
from emotalk_core.perception.emotion.reader import EmotionReader
from emotalk_core.perception.identity.inception_resnet import InceptionResnetV1
from emotalk_core.perception.landmarks.fan import FAN
from emotalk_core.perception.landmarks.packaged import FaceMeshLandmarks
from emotalk_core.perception.landmarks.topology import LOWER_INNER_LIP, UPPER_INNER_LIP
from emotalk_core.training.glef_loop import GlefLoop, read_faces

FRAMES = 160  # of the subject; every fourth is held out, every second of these is measured
MEASURED = 20  # frames from which on every second of the held-out ones is enough
SEEN_SIZE = 256  # px at which packaged readers see a 64 px face
RINGS = [(0.7 * np.cos(t), 0.7 * np.sin(t)) for t in np.radians(np.arange(0, 360, 45))]


@dataclass(frozen=True)
class Trained:
    """A trained tiny g_LEF with the curves of its losses."""

    model: LipAlignedGenerator
    curves: dict[str, np.ndarray]


def subject_faces(count: int = FRAMES) -> ActorFaces:
    """Speaking faces of the subject without emotion."""
    return actor_faces([STAR], count, 0, TINY.size, TINY.crop_share)


def split(faces: ActorFaces) -> tuple[np.ndarray, np.ndarray]:
    """Rows for training (three of four), and rows that are measured."""
    rows = np.arange(len(faces.images))
    held = rows[rows % 4 == 3]
    return rows[rows % 4 != 3], held[:: 1 + (len(held) > MEASURED)]


def train(
    tiny: Path | None, faces: ActorFaces, settings: GlefSettings, seed: int = 0
) -> tuple[Trained, GlefNetworks]:
    """Train g_LEF on the training rows of the faces."""
    torch.manual_seed(seed)
    networks = load_tiny_networks(tiny).to("cpu")
    data = read_faces(networks, faces.images[split(faces)[0]], settings, "cpu")
    model = LipAlignedGenerator(
        networks.generator, networks.emotion, networks.shape, settings.lip_branch
    )
    curves = GlefLoop(model, data, networks.critics, settings, seed).walk()
    return Trained(model, curves), networks


@torch.no_grad()
def generate(
    model: LipAlignedGenerator,
    networks: GlefNetworks,
    images: Tensor,
    emotions: list[tuple[float, float]],
) -> Tensor:
    """[E,N,3,S,S] each picture at each emotion, 0..1."""
    truth, latents = read_truth(images, networks.critics), networks.invert(images)
    made = []
    for pair in emotions:
        wanted = torch.tensor([pair], dtype=torch.float32).expand(len(images), 2)
        made.append(model(latents, wanted, truth.lip_heatmaps).images.clamp(0, 1))
    return torch.stack(made)


def to_pixels(image: Tensor, size: int = SEEN_SIZE) -> np.ndarray:
    """RGB uint8, enlarged."""
    pixels = (image.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
    return cv2.resize(pixels, (size, size), interpolation=cv2.INTER_CUBIC)


def lip_errors(
    made: Tensor, faces: ActorFaces, rows: np.ndarray, networks: GlefNetworks
) -> dict[str, float]:
    """Mean distance of the 20 lip points from the frame's, px of the 64 px crop, by two readers.

    Each reader is compared with itself on the frame: its own bias (1.3 px for the tiny one) is no
    error of the generator. `lip_opening_r_tiny` is against the exact truth.
    """
    marks = networks.critics.landmarks
    truth = torch.from_numpy(faces.points[rows])[:, LIPS]
    scale = TINY.size / TINY.heatmap_cells
    with torch.no_grad():
        seen = heatmap_points(marks(faces.tensor()[rows])[:, LIPS]) * scale
        found = torch.stack([heatmap_points(marks(batch)[:, LIPS]) * scale for batch in made])
    # middle of the inner lips: points 62 and 66 of the 68
    shown, wanted = ((p[..., 18, 1] - p[..., 14, 1]).numpy() for p in (found.mean(0), truth))
    return {
        "lip_error_tiny": float((found - seen).norm(dim=3).mean()),
        "lip_opening_r_tiny": float(np.corrcoef(shown, wanted)[0, 1]),
        **facemesh_lips(made, faces, rows),
    }


def facemesh_lips(made: Tensor, faces: ActorFaces, rows: np.ndarray) -> dict[str, float]:
    """The packaged detector, which no loss knows, on generated faces against the frames.

    Positions (px of the crop) hold its fit of the whole blurred face too; the lip opening is what
    speech needs: its correlation with the exact truth and its error against the frame's.
    """
    chosen = list(POINTS_68[LIPS])
    truth = faces.points[rows][:, LIPS]
    distances, openings = [], []
    with FaceMeshLandmarks(static=True) as detector:
        for place, image in enumerate(faces.tensor()[rows]):
            before = detector.detect(to_pixels(image))
            for batch in made:
                after = detector.detect(to_pixels(batch[place]))
                if before is None or after is None:
                    continue
                distances.append(np.linalg.norm((after - before)[chosen, :2], axis=1).mean())
                gaps = [p[LOWER_INNER_LIP, 1] - p[UPPER_INNER_LIP, 1] for p in (after, before)]
                openings.append((*gaps, truth[place, 18, 1] - truth[place, 14, 1]))
    if not distances:
        return {"lip_error_facemesh": float("nan")}
    shown, wanted, exact = np.array(openings).T
    scale = TINY.size / SEEN_SIZE
    return {
        "lip_error_facemesh": float(np.mean(distances)) * scale,
        "lip_opening_r_facemesh": float(np.corrcoef(shown, exact)[0, 1]),
        "lip_opening_error_facemesh": float(np.abs(shown - wanted).mean()) * scale,
        "lip_opening_r_facemesh_on_frames": float(np.corrcoef(wanted, exact)[0, 1]),
    }


def emotion_response(
    made: Tensor, neutral: Tensor, emotions: list[tuple[float, float]]
) -> dict[str, float]:
    """Correlation and sign agreement of the packaged reader's change with the wanted emotion."""
    wanted, changes = [], []
    with FaceMeshLandmarks(static=True) as detector, EmotionReader() as reader:

        def read(image: Tensor) -> np.ndarray | None:
            frame = to_pixels(image)
            points = detector.detect(frame)
            return None if points is None else np.array(reader.read(frame, points)[:2])

        for place in range(neutral.shape[0]):
            rest = read(neutral[place])
            for pair, batch in zip(emotions, made):
                seen = read(batch[place])
                if rest is not None and seen is not None:
                    wanted.append(pair)
                    changes.append(seen - rest)
    if not changes:
        return {"faces_found": 0.0}
    truth, change = np.array(wanted), np.array(changes)
    strong = np.abs(truth) > 0.3
    right = np.sign(truth) == np.sign(change)
    return {
        "faces_found": len(change) / (neutral.shape[0] * len(emotions)),
        "valence_r": float(np.corrcoef(truth[:, 0], change[:, 0])[0, 1]),
        "arousal_r": float(np.corrcoef(truth[:, 1], change[:, 1])[0, 1]),
        "valence_sign": float(right[strong[:, 0], 0].mean()),
        "arousal_sign": float(right[strong[:, 1], 1].mean()),
    }


def measure(trained: Trained, networks: GlefNetworks, faces: ActorFaces) -> dict[str, float]:
    """All numbers on the held-out rows."""
    rows = split(faces)[1]
    images = faces.tensor()[rows]
    made = generate(trained.model, networks, images, RINGS)
    neutral = generate(trained.model, networks, images, [(0.0, 0.0)])[0]
    numbers = lip_errors(made, faces, rows, networks)
    numbers |= emotion_response(made, neutral, RINGS)
    with torch.no_grad():
        seen = torch.stack([networks.critics.emotion(batch).mean(0) for batch in made]).numpy()
    for axis, name in enumerate(("valence", "arousal")):
        numbers[f"{name}_r_tiny"] = float(
            np.corrcoef(np.array(RINGS)[:, axis], seen[:, axis])[0, 1]
        )
    return numbers


def untouched(tiny: Path | None, faces: ActorFaces) -> dict[str, float]:
    """Lips of W' before any training: what EmoStyle alone gives."""
    networks = load_tiny_networks(tiny).to("cpu")
    model = LipAlignedGenerator(networks.generator, networks.emotion, networks.shape, False).eval()
    rows = split(faces)[1]
    made = generate(model, networks, faces.tensor()[rows], RINGS)
    return lip_errors(made, faces, rows, networks)


def full_size() -> dict[str, float]:
    """Time and peak memory of inversion and one training step of all networks at 1024 px.

    Weights are random: this shows that the published path runs and what it needs, no more.
    """
    shape, begin = GlefShape(), time.process_time()
    critics = Critics(
        FanHeatmaps(FAN()), EmoNetReading(EmoNet()), VggFaceFeatures(InceptionResnetV1())
    )
    generator = build_generator(shape)
    networks = GlefNetworks(
        shape, build_encoder(shape), generator, build_emotion(shape), critics, torch.zeros(18, 512)
    ).to("cpu")
    settings = GlefSettings("published", "optimise", inversion_steps=1, epochs=1, batch=1)
    image = np.random.default_rng(0).integers(0, 256, (1, 1024, 1024, 3), dtype=np.uint8)
    data = read_faces(networks, image, settings, "cpu")
    inverted = time.process_time()
    model = LipAlignedGenerator(generator, networks.emotion, shape)
    curves = GlefLoop(model, data, critics, settings, 0).walk()
    return {
        "inversion_cpu_s": inverted - begin,
        "step_cpu_s": time.process_time() - inverted,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        **{name: float(curve[0]) for name, curve in curves.items()},
    }


def fall(curve: np.ndarray) -> tuple[float, float]:
    """Mean of the first and of the last tenth of a loss."""
    part = max(1, len(curve) // 10)
    return float(curve[:part].mean()), float(curve[-part:].mean())


def draw(path: Path, faces: ActorFaces, both: dict[str, tuple[Trained, GlefNetworks]]) -> None:
    """Curves above, faces below: frame, neutral and eight emotions, with and without lips."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = split(faces)[1][:3]
    images = faces.tensor()[rows]
    strips = []
    for place in range(len(rows)):
        for name in both:
            model, networks = both[name][0].model, both[name][1]
            made = generate(model, networks, images[place : place + 1], [(0.0, 0.0), *RINGS])
            shown = [images[place], *made[:, 0]]
            strips.append(np.hstack([to_pixels(image, 128) for image in shown]))
    figure = pyplot.figure(figsize=(14, 14))
    grid = figure.add_gridspec(2, 5, height_ratios=(1, 3))
    for column, loss in enumerate(next(iter(both.values()))[0].curves):
        axes = figure.add_subplot(grid[0, column])
        for name, (trained, _) in both.items():
            smooth = pd.Series(trained.curves[loss]).rolling(20, min_periods=1).mean()
            axes.plot(smooth, label=name)
        axes.set_title(loss)
        axes.legend()
    axes = figure.add_subplot(grid[1, :])
    axes.imshow(np.vstack(strips))
    rings = "  ".join(f"({v:.1f},{a:.1f})" for v, a in RINGS)
    axes.set_title(f"frame, (0,0), {rings}; odd rows {', even rows '.join(both)}")
    axes.axis("off")
    figure.tight_layout()
    figure.savefig(path, dpi=90)


def main() -> None:
    """Run everything and write the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--train-tiny", action="store_true")
    parser.add_argument("--tiny", type=Path, default=None)
    parser.add_argument("--full-size", action="store_true")
    parser.add_argument("--epochs", type=int, default=24)
    parser.add_argument("--learning-rate", type=float, default=3e-4)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(options.threads)
    options.out.mkdir(parents=True, exist_ok=True)
    if options.full_size:
        print(json.dumps(full_size(), indent=1))
        return
    begin, busy = time.monotonic(), time.process_time()
    tiny = options.tiny
    if options.train_tiny:
        tiny = options.out / "tiny.safetensors"
        train_tiny_networks(output=tiny, budget=TinyBudget(), seed=0, threads=options.threads)
    faces, both, report = subject_faces(), {}, {}
    report["before_training"] = untouched(tiny, faces)
    for name, lip_branch in (("with_lips", True), ("without_lips", False)):
        settings = GlefSettings(
            epochs=options.epochs, learning_rate=options.learning_rate, lip_branch=lip_branch
        )
        both[name] = train(tiny, faces, settings)
        report[name] = measure(*both[name], faces)
        for loss, curve in both[name][0].curves.items():
            report[name][f"{loss}_first"], report[name][f"{loss}_last"] = fall(curve)
    report["time"] = {"wall_s": time.monotonic() - begin, "cpu_s": time.process_time() - busy}
    draw(options.out / "picture.png", faces, both)
    pd.DataFrame(both["with_lips"][0].curves).to_csv(options.out / "curves.csv", index=False)
    (options.out / "report.json").write_text(json.dumps(report, indent=1))
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
