"""The config block `glef`: how the lip-aligned emotional face generator is trained."""

from __future__ import annotations

from dataclasses import dataclass

from emotalk_core.emotion.glef.losses import PAPER_WEIGHTS


@dataclass(frozen=True)
class GlefSettings:
    """Settings of `train_glef`.

    Attributes:
        networks: what it starts from: `tiny` (packaged, 64 px, shows that everything runs) or
            `published` (StyleGAN2, e4e, EmoStyle, FAN, EmoNet, VGGFace2 from weight files).
        inversion: `encoder` (e4e, as the paper) or `optimise` (latents by descent).
        inversion_steps: of the descent.
        n_frames: training frames, spread over the clip's training part.
        epochs: paper S1: 10. batch: frames a step (EmoStyle: 4).
        learning_rate: of Adam, constant (paper S1: 1e-4).
        lambda_lip_landmark .. lambda_identity: weights of the five losses (paper S2.2).
        lip_margin: growth of the lip rectangle M_l, widths of the mouth (ours).
        lip_branch: False trains without d_l (ablation).
        save_every_seconds: wall time between two states.
    """

    networks: str = "tiny"
    inversion: str = "encoder"
    inversion_steps: int = 200
    n_frames: int = 400
    epochs: int = 10
    batch: int = 4
    learning_rate: float = 1e-4
    lambda_lip_landmark: float = PAPER_WEIGHTS["lip_landmark"]
    lambda_lip_pixel: float = PAPER_WEIGHTS["lip_pixel"]
    lambda_offset: float = PAPER_WEIGHTS["offset"]
    lambda_emotion: float = PAPER_WEIGHTS["emotion"]
    lambda_identity: float = PAPER_WEIGHTS["identity"]
    lip_margin: float = 0.25
    lip_branch: bool = True
    save_every_seconds: float = 60.0

    def weights(self) -> dict[str, float]:
        """Loss name -> weight."""
        return {name: float(getattr(self, f"lambda_{name}")) for name in PAPER_WEIGHTS}
