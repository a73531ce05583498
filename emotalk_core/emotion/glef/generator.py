"""g_LEF behind the seam of emotional face generators: a filmed frame in, its emotional edit out."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from emotalk_core.emotion.basis import PersonNeutral, packaged_basis
from emotalk_core.emotion.flow import choose_controls, guarded_flow
from emotalk_core.emotion.generator import GeneratedFace
from emotalk_core.emotion.glef.align import crop_face, crop_transform, paste_face
from emotalk_core.emotion.glef.checkpoint import load_glef
from emotalk_core.emotion.glef.inversion import invert_faces
from emotalk_core.emotion.glef.losses import read_truth
from emotalk_core.perception.landmarks.packaged import FaceMeshLandmarks

KEPT_FRAMES = 4  # frames whose inversion is kept: a bank shows each frame at many points


class GlefGenerator:
    """Aligned crop -> W -> W' -> W'' -> StyleGAN2 -> pasted back (METHOD 1.4).

    The network repaints the whole crop; the paper then clones the eye and mouth rectangles onto the
    frame (`emotion_bank.clone`). Labels and normals follow the motion of landmarks that are found
    again on the result; where no face is found they stay, and the bank rejects the image.

    Args:
        checkpoint: of the rule `train_glef`.
        device: of torch.
    """

    def __init__(self, checkpoint: Path, device: str = "cpu") -> None:
        self._model, self._networks, self._settings = load_glef(checkpoint, device)
        tiny = self._networks.shape.size < 256  # px
        self.id = f"glef-{self._networks.shape.size}"
        self.standing_for = "g_LEF with the published networks" if tiny else ""
        self._device = device
        self._controls = choose_controls(packaged_basis().positions)
        self._known: OrderedDict[str, tuple[Tensor, Tensor]] = OrderedDict()
        self._lock = threading.Lock()
        self._detector: FaceMeshLandmarks | None = None

    def generate(
        self,
        frame: UInt8[np.ndarray, "H W 3"],
        landmarks: Float[np.ndarray, "478 dims"],
        valence: float,
        arousal: float,
        person: PersonNeutral,
    ) -> GeneratedFace:
        """See `EmotionalFaceGenerator.generate`; the person is known to the network itself."""
        points = np.asarray(landmarks[:, :2], dtype=np.float64)
        shape = self._networks.shape
        matrix = crop_transform(points, shape.size, shape.crop_share)
        latents, heatmaps = self._invert(frame, matrix)
        emotion = torch.tensor([[valence, arousal]], device=self._device)
        with torch.no_grad():
            made = self._model(latents, emotion, heatmaps).images[0]
        pixels = (made.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).cpu().numpy()
        image = paste_face(frame, pixels, matrix)
        return self._with_motion(frame, image, points)

    def _invert(
        self, frame: UInt8[np.ndarray, "H W 3"], matrix: Float[np.ndarray, "2 3"]
    ) -> tuple[Tensor, Tensor]:
        """W and lip heatmaps of a frame, remembered for its next points."""
        key = hashlib.blake2b(frame.tobytes() + matrix.tobytes()).hexdigest()
        with self._lock:
            if key in self._known:
                return self._known[key]
        crop = crop_face(frame, matrix, self._networks.shape.size)
        picture = torch.from_numpy(crop).permute(2, 0, 1)[None].float().to(self._device) / 255
        truth = read_truth(picture, self._networks.critics)
        found = (invert_faces(self._networks, picture, self._settings), truth.lip_heatmaps)
        with self._lock:
            self._known[key] = found
            while len(self._known) > KEPT_FRAMES:
                self._known.popitem(last=False)
        return found

    def _with_motion(
        self,
        frame: UInt8[np.ndarray, "H W 3"],
        image: UInt8[np.ndarray, "H W 3"],
        points: Float[np.ndarray, "478 2"],
    ) -> GeneratedFace:
        """The picture with the landmark motion that it shows against its frame."""
        height, width = frame.shape[:2]
        before, after = self._detect(frame), self._detect(image)
        if before is None or after is None:
            still = np.zeros((height, width), np.float32)
            flow = np.zeros((height, width, 2), np.float32)
            return GeneratedFace(image, flow, still, points, 1.0, 1.0)
        motion = (after - before).astype(np.float64)
        warp = guarded_flow(points, motion, self._controls, (height, width))
        return GeneratedFace(
            image=image,
            flow=warp.flow,
            depth=warp.depth,
            landmarks=points + motion[:, :2],
            gain=warp.gain,
            smallest_jacobian=warp.smallest_jacobian,
        )

    def _detect(self, image: UInt8[np.ndarray, "H W 3"]) -> Float[np.ndarray, "478 3"] | None:
        with self._lock:  # one detector serves all threads
            if self._detector is None:
                self._detector = FaceMeshLandmarks(static=True).__enter__()
            return self._detector.detect(image)
