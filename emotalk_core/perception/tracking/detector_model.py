"""What a landmark detector makes of a face: its points, how expression and pose move them, noise.

The numbers were measured on rendered people whose truth is known (`measure_detector`); for a
detector that was not measured the face model's geometry is taken as it is.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from emotalk_core.actor.face_model import landmark_basis, landmark_identity_basis
from emotalk_core.media.tables import read_arrays
from emotalk_core.perception.landmarks import topology as tp

DATA = Path(__file__).parent / "data"
# detector -> measured arrays (literal names, so that `code_version` sees the files). Both detectors
# find the same points; with FaceMesh's numbers the other one fits better than with plain geometry.
MEASURED = {"facemesh": "facemesh.npz", "face_landmarker": "facemesh.npz"}
ARRAYS = (
    "neutral",
    "depth_error",
    "expression",
    "pose",
    "noise_modes",
    "noise",
    "person",
    "person_modes",
)

N_OTHERS = 70  # points beside lips, lids, brows and irises that enter the fit, spread over the face
# Upper and lower edge of the irises lie under the lids, which is where the detector ties them
HIDDEN_IRIS = (470, 472, 475, 477)
# People are built and move unlike the rendered ones: error of a point beside the measured one, for
# expression and, with muscles that no coefficient shows, for pose
MISFIT, RIGID_MISFIT = 0.002, 0.005  # metres
# The same for the axes of a person. How shapes of faces hang together is all that tells a lowered
# face from low features, so it is trusted farther where people were measured with this detector. On
# held-out actors the turn is wrong by 1.6 degrees at 1 mm, by 1.3 at this; both real heads turn by
# less than 1.6 degrees from 2 mm to it
PERSON_MISFITS = {"facemesh": 0.0005}  # metres; others: RIGID_MISFIT
# What that leaves of a person who is built unlike the measured ones shows that it does not hold
# for them: trusted fully up to the first, not at all from the second. Rendered people leave .10 to
# .18 mm (behind beards and glasses up to .31), the real ones .18 and .26, a head of another maker
# .24 to .28
ALIKE, UNLIKE = 0.00015, 0.00025  # metres, root mean square
# Where nothing was measured: scatter of a point in the plane and in depth; weight of an identity
# axis (the spread of the digital actor's people)
PLAIN_NOISE = (0.001, 0.001, 0.004)  # metres
IDENTITY_SIGMA = 0.26
# Expected size of the coefficients. Shapes with a meaning of their own are free; the others, which
# look alike, explain only what those leave (else lowerDown and shrugUpper eat half of jawOpen).
MAIN_SIGMA, OTHER_SIGMA = 0.4, 0.2
MAIN_SHAPES = (
    "brow",
    "eyeBlink",
    "eyeWide",
    "eyeLook",
    "jawOpen",
    "mouthSmile",
    "mouthFrown",
    "mouthPucker",
    "mouthFunnel",
    "mouthLowerDown",
    "mouthUpperUp",
)


def view_features(rotations: Float[np.ndarray, "T 3 3"]) -> Float[np.ndarray, "T 5"]:
    """What pose errors depend on: the viewing direction in head axes, and its squares."""
    side, height = rotations[:, 2, 0], rotations[:, 2, 1]
    return np.stack([side, height, side**2, height**2, side * height], axis=1)


@dataclass(frozen=True)
class DetectorModel:
    """Points of a detector in the head's axes (metres; x right, y down, z away).

    Attributes:
        names: of the 52 expression coefficients.
        neutral: mean person at rest, as the detector sees one.
        depth_error: of the detector's depth, mean over people.
        person: mean of people's points as the tracker finds them in a clip, in their true axes.
        person_modes: how people differ from it, one standard deviation each, independent.
        person_misfit: error of a person's point beside that, metres.
        expression: motion at weight 1, as the detector sees it.
        pose: error by `view_features`.
        noise_modes: errors that points share, one standard deviation each.
        noise: what is left, standard deviation.
    """

    names: tuple[str, ...]
    neutral: Float[np.ndarray, "478 3"]
    depth_error: Float[np.ndarray, " 478"]
    expression: Float[np.ndarray, "52 478 3"]
    pose: Float[np.ndarray, "5 478 3"]
    noise_modes: Float[np.ndarray, "M 478 3"]
    noise: Float[np.ndarray, "478 3"]
    person: Float[np.ndarray, "478 3"]
    person_modes: Float[np.ndarray, "B 478 3"]
    person_misfit: float = RIGID_MISFIT

    @classmethod
    def of_geometry(cls) -> DetectorModel:
        """A detector that sees the face model's surface points themselves."""
        neutral, deltas, names = landmark_basis()
        axes, _ = landmark_identity_basis()
        return cls(
            names=names,
            neutral=neutral.astype(np.float64),
            depth_error=np.zeros(tp.N_LANDMARKS),
            expression=deltas.astype(np.float64),
            pose=np.zeros((5, tp.N_LANDMARKS, 3)),
            noise_modes=np.zeros((0, tp.N_LANDMARKS, 3)),
            noise=np.tile(PLAIN_NOISE, (tp.N_LANDMARKS, 1)),
            person=neutral.astype(np.float64),
            person_modes=IDENTITY_SIGMA * axes.astype(np.float64),
        )

    @cached_property
    def sigmas(self) -> Float[np.ndarray, " 52"]:
        """Expected size of every coefficient."""
        return np.array(
            [MAIN_SIGMA if n.startswith(MAIN_SHAPES) else OTHER_SIGMA for n in self.names]
        )

    @cached_property
    def chosen(self) -> Int[np.ndarray, " N"]:
        """Landmarks that enter the fit: all of lips, lids, brows and irises, some of the others."""
        keep = sorted({*tp.LIPS, *tp.EYES, *tp.BROWS, *tp.IRISES} - set(HIDDEN_IRIS))
        face = tp.canonical_face()
        others = np.setdiff1d(np.arange(tp.N_SURFACE), keep)
        picked = [tp.NOSE_TIP]
        distance = np.linalg.norm(face[others] - face[tp.NOSE_TIP], axis=1)
        while len(picked) < N_OTHERS:  # always the point that lies farthest from those taken
            picked.append(int(others[distance.argmax()]))
            distance = np.minimum(distance, np.linalg.norm(face[others] - face[picked[-1]], axis=1))
        return np.array(sorted({*keep, *picked}))

    @cached_property
    def response(self) -> Float[np.ndarray, "52 D"]:
        """`expression` at the chosen points, x, y, z of each in turn (D = 3 N)."""
        return self.expression[:, self.chosen].reshape(len(self.names), -1)

    @cached_property
    def precision(self) -> Float[np.ndarray, "D D"]:
        """Inverse covariance of the chosen points' errors."""
        return np.linalg.inv(self._covariance(MISFIT))

    @cached_property
    def rigid_precision(self) -> Float[np.ndarray, "D D"]:
        """The same with expression counted as an error: what poses are solved with."""
        moves = self.response * self.sigmas[:, None]
        return np.linalg.inv(self._covariance(RIGID_MISFIT) + moves.T @ moves)

    def likeness(self, shape: Float[np.ndarray, "478 3"]) -> float:
        """How far a person's points hang together as those of the measured people, 0..1.

        1 of a detector whose people were not measured: there is no trust to take back.

        Args:
            shape: the person in the model's axes, metres.
        """
        if self.person_misfit >= RIGID_MISFIT:
            return 1.0
        modes = self.person_modes[:, self.chosen].reshape(len(self.person_modes), -1)
        off = (shape - self.person)[self.chosen].ravel()
        weights = np.linalg.solve(
            self.person_misfit**2 * np.eye(len(modes)) + modes @ modes.T, modes @ off
        )
        left = np.sqrt(np.mean((off - weights @ modes) ** 2))
        return float(np.clip((UNLIKE - left) / (UNLIKE - ALIKE), 0, 1))

    def trusted(self, share: float) -> DetectorModel:
        """The model with how people's points hang together trusted to this share, 0..1."""
        misfit = RIGID_MISFIT ** (1 - share) * self.person_misfit**share
        return dataclasses.replace(self, person_misfit=misfit)

    @cached_property
    def person_precision(self) -> Float[np.ndarray, "D D"]:
        """Inverse covariance of people's points around `person`: fixes a person's axes."""
        people = self.person_modes[:, self.chosen].reshape(len(self.person_modes), -1)
        return np.linalg.inv(self.person_misfit**2 * np.eye(people.shape[1]) + people.T @ people)

    def _covariance(self, misfit: float) -> Float[np.ndarray, "D D"]:
        own = self.noise[self.chosen].ravel() ** 2 + misfit**2
        shared = self.noise_modes[:, self.chosen].reshape(len(self.noise_modes), own.size)
        return np.diag(own) + shared.T @ shared

    def pose_error(self, rotations: Float[np.ndarray, "T 3 3"]) -> Float[np.ndarray, "T 478 3"]:
        """The detector's errors in these views."""
        return np.tensordot(view_features(rotations), self.pose, axes=1)


@lru_cache(maxsize=4)
def detector_model(detector: str) -> DetectorModel:
    """The measured model of a detector of `LANDMARK_DETECTORS`, or plain geometry."""
    if detector not in MEASURED:
        return DetectorModel.of_geometry()
    raw = read_arrays(DATA / MEASURED[detector], ("names", *ARRAYS))
    arrays = {name: raw[name].astype(np.float64) for name in ARRAYS}
    names = tuple(str(n) for n in raw["names"])
    misfit = PERSON_MISFITS.get(detector, RIGID_MISFIT)
    return DetectorModel(names=names, **arrays, person_misfit=misfit)
