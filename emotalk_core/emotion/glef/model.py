"""g_LEF: latent, emotion and lip heatmaps in, an emotional face with the frame's lips out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from jaxtyping import Float
from torch import Tensor, nn

from emotalk_core.emotion.glef.e4e import E4EShape, Encoder4Editing
from emotalk_core.emotion.glef.emostyle import EMOTION_DIM, HIDDEN, EmoExtract
from emotalk_core.emotion.glef.lips import LIP_DIM, LipEncoder, LipMapping
from emotalk_core.emotion.glef.stylegan2 import N_MLP, STYLE_DIM, StyleGAN2


@dataclass(frozen=True)
class GlefShape:
    """Sizes of all networks; the defaults are the published ones.

    Attributes:
        size: side of the generated picture, px. crop_share: of FFHQ's crop that it shows.
        style_dim: width of a style. n_mlp: layers of StyleGAN2's mapping.
        channel_multiplier, narrow: of StyleGAN2.
        emotion_dim: width of f_emo. hidden: widths inside EmoExtract and M_lip.
        heatmap_cells: side of the landmark heatmaps. lip_dim: width of z_l.
        encoder: of e4e.
    """

    size: int = 1024
    crop_share: float = 1.0
    style_dim: int = STYLE_DIM
    n_mlp: int = N_MLP
    channel_multiplier: int = 2
    narrow: int = 1
    emotion_dim: int = EMOTION_DIM
    hidden: tuple[int, ...] = HIDDEN
    heatmap_cells: int = 64
    lip_dim: int = LIP_DIM
    encoder: E4EShape = field(default_factory=E4EShape)

    def as_dict(self) -> dict[str, object]:
        """JSON-ready."""
        return asdict(self)


TINY = GlefShape(
    size=64,
    crop_share=0.65,
    style_dim=32,
    n_mlp=0,
    channel_multiplier=1,
    narrow=16,
    emotion_dim=16,
    hidden=(64, 64),
    heatmap_cells=32,
    lip_dim=32,
    encoder=E4EShape(input_size=32, widths=(16, 24, 32, 32), units=(1, 1, 1, 1)),
)


@dataclass(frozen=True)
class GlefFace:
    """What g_LEF makes of a batch.

    Attributes:
        images: I_E, RGB, 0..1 (not clamped).
        emotional: W' = W + d.
        lip_offset: d_l; W'' = W' + d_l.
    """

    images: Float[Tensor, "B 3 S S"]
    emotional: Float[Tensor, "B L D"]
    lip_offset: Float[Tensor, "B L D"]


def build_generator(shape: GlefShape) -> StyleGAN2:
    """StyleGAN2 of that size."""
    return StyleGAN2(
        shape.size, shape.style_dim, shape.n_mlp, shape.channel_multiplier, shape.narrow
    )


def build_encoder(shape: GlefShape) -> Encoder4Editing:
    """e4e of that size."""
    return Encoder4Editing(shape.size, shape.style_dim, shape.encoder)


def build_emotion(shape: GlefShape) -> EmoExtract:
    """EmoExtract of that size."""
    return EmoExtract(shape.size, shape.emotion_dim, shape.style_dim, shape.hidden)


class LipAlignedGenerator(nn.Module):
    """W -> W' (emotion) -> W'' (lips) -> picture (METHOD 1.4).

    Args:
        generator: StyleGAN2, fine-tuned with the lip networks.
        emotion: EmoExtract, frozen.
        shape: sizes of the lip networks.
        lip_branch: False leaves d_l out (the ablation that shows what M_lip is for).
    """

    TRAINED = ("generator", "lip_encoder", "lip_mapping")

    def __init__(
        self,
        generator: StyleGAN2,
        emotion: EmoExtract,
        shape: GlefShape,
        lip_branch: bool = True,
    ) -> None:
        super().__init__()
        self.generator, self.emotion = generator, emotion
        self.lip_encoder = LipEncoder(shape.heatmap_cells, shape.lip_dim)
        self.lip_mapping = LipMapping(shape.size, shape.lip_dim, shape.style_dim, shape.hidden)
        self.lip_branch = lip_branch
        self.emotion.requires_grad_(False)

    def forward(
        self,
        latents: Float[Tensor, "B L D"],
        emotions: Float[Tensor, "B 2"],
        lip_heatmaps: Float[Tensor, "B 20 H H"],
    ) -> GlefFace:
        """Emotional faces.

        Args:
            latents: W of the frames' inversion.
            emotions: (valence, arousal), -1..1.
            lip_heatmaps: of the frames.
        """
        emotional = latents + self.emotion(latents, emotions)
        offset = self.lip_mapping(emotional, self.lip_encoder(lip_heatmaps))
        if not self.lip_branch:
            offset = offset * 0
        images = self.generator(emotional + offset)
        return GlefFace((images + 1) / 2, emotional, offset)

    def trained_parameters(self) -> dict[str, nn.Parameter]:
        """What g_LEF trains: E, M_lip and StyleGAN2 without its mapping, by name."""
        parts: Sequence[str] = self.TRAINED if self.lip_branch else self.TRAINED[:1]
        return {
            name: parameter
            for name, parameter in self.named_parameters()
            if name.split(".")[0] in parts and not name.startswith("generator.style.")
        }
