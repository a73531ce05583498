"""Deformation branches: canonical positions and condition codes in, raw offsets out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from emotalk_core.gaussians.hash_grid import TriPlaneHashGrid
from emotalk_core.types.gaussians import GaussianOffsets

POSITION_GAIN = 1e-2  # metres per unit of network output (METHOD 2.3: dxyz * 1e-2)
LAST_LAYER_GAIN = 0.5  # start near, but not at, the canonical head
LEVELS, FEATURES = 12, 1  # METHOD decision 3
# Conditions much smaller than this give almost no offset: a clip's own readings of (valence,
# arousal) lie within 0.2 of the person's rest and are mostly the reader's noise, which would bend
# the face (Obama clip: .3 dB of the head), while emotions that are asked for lie at 0.5 and more.
REST_RADIUS = 0.3
BOUND = 0.15  # metres: half edge of the cube that holds the head (METHOD 2.2)
PIECE = 2048  # points at a time when nothing is learnt: hidden layers stay in a core's cache
LOG2_TABLE = 17  # nothing collides: every level is a dense grid (METHOD 2.3)


@dataclass(frozen=True)
class BranchSpec:
    """Shape of a branch; lies in the checkpoint's header.

    Attributes:
        conditions: name -> size of each condition code, in input order.
        attention: name -> hidden width of its region attention: for all conditions, or for none.
        relu_attention: names whose attention ends in ReLU (action units and emotion, METHOD 2.3).
        base, top: coarsest and finest resolution of the tri-plane grid.
        hidden: width of the MLP.
        axes_gain: factor on x, y, z of the position offset (the mouth mostly moves in y).
        with_shape: whether scale and rotation offsets are output too.
        zero_at_rest: whether a condition of zeros gives no offset at all.
    """

    conditions: Mapping[str, int]
    attention: Mapping[str, int]
    relu_attention: tuple[str, ...]
    base: int
    top: int
    hidden: int
    axes_gain: tuple[float, float, float] = (1.0, 1.0, 1.0)
    with_shape: bool = True
    zero_at_rest: bool = False

    def __post_init__(self) -> None:
        if self.attention and tuple(self.attention) != tuple(self.conditions):
            raise ValueError(
                f"attention={tuple(self.attention)}: wanted all conditions in their order, "
                f"{tuple(self.conditions)}, or none"
            )

    def to_dict(self) -> dict:
        """JSON-ready dictionary."""
        return {
            **asdict(self),
            "conditions": dict(self.conditions),
            "attention": dict(self.attention),
        }

    @classmethod
    def from_dict(cls, data: Mapping) -> BranchSpec:
        """Inverse of `to_dict`."""
        return cls(
            **{
                **data,
                "relu_attention": tuple(data["relu_attention"]),
                "axes_gain": tuple(data["axes_gain"]),
            }
        )


def mouth_spec(audio_code: int) -> BranchSpec:
    """f^M: audio only, position only, no attention (METHOD 1.1, 2.3)."""
    return BranchSpec(
        conditions={"audio": audio_code},
        attention={},
        relu_attention=(),
        base=64,
        top=384,
        hidden=32,
        axes_gain=(0.2, 1.0, 0.2),
        with_shape=False,
    )


def face_spec(audio_code: int, n_units: int, with_emotion: bool) -> BranchSpec:
    """f^F: region-attended audio and action units; with emotion too in the combined ablation."""
    emotion = {"emotion": 2} if with_emotion else {}
    return BranchSpec(
        conditions={"audio": audio_code, "action_units": n_units, **emotion},
        attention={"audio": 32, "action_units": 16, **({"emotion": 16} if with_emotion else {})},
        relu_attention=("action_units", *emotion),
        base=16,
        top=256,
        hidden=64,
    )


def emotion_spec() -> BranchSpec:
    """f^E: region-attended (valence, arousal) (METHOD 1.1)."""
    return BranchSpec(
        conditions={"emotion": 2},
        attention={"emotion": 16},
        relu_attention=("emotion",),
        base=16,
        top=256,
        hidden=64,
        zero_at_rest=True,
    )


@dataclass(frozen=True)
class PointFeatures:
    """What a branch knows of N points before any condition comes in.

    Attributes:
        hidden: the points' part of the first hidden layer.
        attention: factors on the codes of all attended conditions, side by side; or None.
    """

    hidden: Float[Tensor, "N H"]
    attention: Float[Tensor, "N C"] | None

    def split(self, size: int) -> list[PointFeatures]:
        """The same in pieces of at most `size` points."""
        hidden = self.hidden.split(size)
        if self.attention is None:
            return [PointFeatures(part, None) for part in hidden]
        return [PointFeatures(*parts) for parts in zip(hidden, self.attention.split(size))]


class RegionAttention(nn.Module):
    """Per-point factors on a condition code, as 1 + A(H(mu)).

    The one keeps the condition alive while the hash features are still about zero (study: trap 3).
    """

    def __init__(self, features: int, hidden: int, size: int, relu: bool) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Linear(features, hidden, bias=False), nn.ReLU()]
        layers.append(nn.Linear(hidden, size, bias=False))
        if relu:
            layers.append(nn.ReLU())
        self.layers = nn.Sequential(*layers)

    def forward(self, features: Float[Tensor, "N F"]) -> Float[Tensor, "N C"]:
        """Factors around one."""
        return 1.0 + self.layers(features)


class DeformationBranch(nn.Module):
    """Tri-plane features with (attended) codes through an MLP without bias (METHOD 2.3)."""

    axes_gain: Tensor

    def __init__(
        self,
        spec: BranchSpec,
        backend: str,
        threads: int,
    ) -> None:
        super().__init__()
        self.spec = spec
        self.grid = TriPlaneHashGrid(
            levels=LEVELS,
            features=FEATURES,
            base_resolution=spec.base,
            finest_resolution=spec.top,
            log2_table=LOG2_TABLE,
            bound=BOUND,
            backend=backend,
            threads=threads,
        )
        width = self.grid.out_features
        self.attention = nn.ModuleDict(
            {
                name: RegionAttention(
                    width, hidden, spec.conditions[name], name in spec.relu_attention
                )
                for name, hidden in spec.attention.items()
            }
        )
        self.from_features = nn.Linear(width, spec.hidden, bias=False)
        self.from_condition = nn.Linear(sum(spec.conditions.values()), spec.hidden, bias=False)
        outputs = 10 if spec.with_shape else 3
        self.layers = nn.Sequential(
            nn.ReLU(inplace=True),
            nn.Linear(spec.hidden, spec.hidden, bias=False),
            nn.ReLU(inplace=True),
            nn.Linear(spec.hidden, outputs, bias=False),
        )
        self.register_buffer(
            "axes_gain", torch.tensor(spec.axes_gain) * POSITION_GAIN, persistent=False
        )
        with torch.no_grad():
            last = self.layers[-1]
            assert isinstance(last, nn.Linear)
            last.weight.mul_(LAST_LAYER_GAIN)

    def look(self, positions: Float[Tensor, "N 3"]) -> PointFeatures:
        """What does not depend on the frame, for points that may be asked about again."""
        features = self.grid(positions)
        factors = [layer(features) for layer in self.attention.values()]
        return PointFeatures(
            hidden=self.from_features(features),
            attention=torch.cat(factors, dim=-1) if factors else None,
        )

    def raw(
        self,
        points: PointFeatures | Float[Tensor, "N 3"],
        codes: Mapping[str, Float[Tensor, "B C"]],
    ) -> Float[Tensor, "B N O"]:
        """Network output for B conditions at N points; see `REST_RADIUS` for `zero_at_rest`."""
        points = points if isinstance(points, PointFeatures) else self.look(points)
        code = torch.cat([codes[name] for name in self.spec.conditions], dim=-1)
        if points.attention is None:
            hidden = points.hidden[None] + self.from_condition(code)[:, None]
        else:  # W (A * c) as (W * c) A: the product with every point's factors is never stored
            weights = self.from_condition.weight * code[:, None]
            hidden = points.hidden + points.attention @ weights.transpose(1, 2)
        output = self.layers(hidden)
        if not self.spec.zero_at_rest:
            return output
        size = code.square().sum(dim=-1)
        return output * (size / (size + REST_RADIUS**2))[:, None, None]

    def motion(
        self, positions: Float[Tensor, "N 3"], codes: Mapping[str, Float[Tensor, "B C"]]
    ) -> Float[Tensor, "B N 3"]:
        """Position offsets only, metres."""
        return self.raw(positions, codes)[..., :3] * self.axes_gain

    def forward(
        self,
        points: PointFeatures | Float[Tensor, "N 3"],
        codes: Mapping[str, Float[Tensor, "1 C"]],
    ) -> GaussianOffsets:
        """Offsets of one frame in raw parameter space (METHOD decision 5)."""
        if torch.is_grad_enabled():
            output = self.raw(points, codes)[0]
        else:
            output = torch.cat([self.raw(part, codes)[0] for part in points.split(PIECE)])
        means = output[:, :3] * self.axes_gain
        if not self.spec.with_shape:
            return GaussianOffsets(means=means)
        return GaussianOffsets(means=means, quats=output[:, 3:7], scales=output[:, 7:10])
