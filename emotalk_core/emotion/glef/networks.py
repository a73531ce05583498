"""All networks of g_LEF before its training, from one named source: packaged tiny or published."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from emotalk_core.emotion.glef.critics import Critics, pooled
from emotalk_core.emotion.glef.e4e import Encoder4Editing
from emotalk_core.emotion.glef.emostyle import EmoExtract
from emotalk_core.emotion.glef.model import (
    TINY,
    GlefShape,
    build_emotion,
    build_encoder,
    build_generator,
)
from emotalk_core.emotion.glef.stylegan2 import StyleGAN2
from emotalk_core.emotion.glef.tiny_critics import TinyEmotion, TinyIdentity, TinyLandmarks
from emotalk_core.errors import ConfigError, explain
from emotalk_core.media.checkpoints import load_checkpoint, save_checkpoint

TINY_FILE = "data/tiny.safetensors"
TINY_KIND = "tiny_glef"
PARTS = ("encoder", "generator", "emotion", "landmarks", "reading", "identity")


@dataclass
class GlefNetworks:
    """What g_LEF starts from.

    Attributes:
        shape: sizes.
        encoder: e4e. generator: StyleGAN2. emotion: EmoExtract.
        latent_avg: mean latent that e4e's answers are added to.
        critics: judges.
    """

    shape: GlefShape
    encoder: Encoder4Editing
    generator: StyleGAN2
    emotion: EmoExtract
    critics: Critics
    latent_avg: Float[Tensor, "L D"] = field(default_factory=lambda: torch.zeros(1, 1))

    def to(self, device: str) -> GlefNetworks:
        """Everything on a device, frozen but for the generator."""
        for part in (self.encoder, self.emotion, *vars(self.critics).values()):
            if isinstance(part, nn.Module):
                part.eval().requires_grad_(False).to(device)
        self.generator.to(device)
        self.latent_avg = self.latent_avg.to(device)
        return self

    @torch.no_grad()
    def invert(self, images: Float[Tensor, "B 3 S S"]) -> Float[Tensor, "B L D"]:
        """W of aligned pictures in 0..1 by the encoder."""
        seen = pooled(images, self.encoder.input_size)
        return self.encoder(seen * 2 - 1) + self.latent_avg


def new_tiny_networks() -> GlefNetworks:
    """Untrained tiny networks."""
    critics = Critics(TinyLandmarks(), TinyEmotion(), TinyIdentity())
    networks = GlefNetworks(
        TINY, build_encoder(TINY), build_generator(TINY), build_emotion(TINY), critics
    )
    networks.generator.set_fused(False)  # equal but for rounding, faster on a CPU
    return networks


def _parts(networks: GlefNetworks) -> dict[str, nn.Module]:
    critics = networks.critics
    judges = (critics.landmarks, critics.emotion, critics.identity)
    modules = (networks.encoder, networks.generator, networks.emotion, *judges)
    return {name: module for name, module in zip(PARTS, modules) if isinstance(module, nn.Module)}


def save_tiny_networks(path: Path, networks: GlefNetworks, facts: dict[str, object]) -> None:
    """Write all parts in half precision (below 2 MB) with how they were trained."""
    tensors = {
        f"{part}:{name}": value.half() if value.is_floating_point() else value
        for part, module in _parts(networks).items()
        for name, value in module.state_dict().items()
    }
    save_checkpoint(path, tensors, TINY_KIND, facts)


def load_tiny_networks(path: Path | None = None) -> GlefNetworks:
    """The packaged tiny networks, or those of a file, loaded strictly."""
    file = path or Path(str(resources.files(__package__) / TINY_FILE))
    tensors, _ = load_checkpoint(file, TINY_KIND)
    networks = new_tiny_networks()
    for part, module in _parts(networks).items():
        prefix = f"{part}:"
        state = {
            name.removeprefix(prefix): value.float() if value.is_floating_point() else value
            for name, value in tensors.items()
            if name.startswith(prefix)
        }
        module.load_state_dict(state, strict=True)
    return networks


def load_networks(source: str) -> GlefNetworks:
    """Networks of a source.

    Args:
        source: `tiny` (packaged, 64 px, trained on the digital actor) or `published` (StyleGAN2,
            e4e, EmoStyle, FAN, EmoNet, VGGFace2 from the folder of weight files).

    Raises:
        ConfigError: unknown source.
        WeightsError: a published file is missing or wrong.
    """
    if source == "tiny":
        return load_tiny_networks()
    if source == "published":
        from emotalk_core.emotion.glef.published import load_published_networks

        return load_published_networks()
    raise ConfigError(explain("glef.networks", source, "wanted tiny or published", "correct it"))
