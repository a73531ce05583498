"""Published weight files in, networks of g_LEF out: strictly, and no file can run code.

`e4e_ffhq_encode.pt` holds the encoder, StyleGAN2 of FFHQ at 1024 px as its decoder and the mean
latent; `emo_mapping_wplus_2.pt` holds EmoExtract; FAN, EmoNet and VGGFace2 have their own files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from emotalk_core.emotion.glef.critics import Critics
from emotalk_core.emotion.glef.e4e import Encoder4Editing
from emotalk_core.emotion.glef.emostyle import EmoExtract
from emotalk_core.emotion.glef.model import (
    GlefShape,
    build_encoder,
    build_generator,
)
from emotalk_core.emotion.glef.networks import GlefNetworks
from emotalk_core.emotion.glef.stylegan2 import StyleGAN2
from emotalk_core.errors import WeightsError
from emotalk_core.media.weight_files import load_strictly, open_network, read_checkpoint
from emotalk_core.perception.emotion.emonet import EmoNet
from emotalk_core.perception.identity.inception_resnet import (
    CENTRE,
    INPUT_SIZE,
    SPREAD,
    InceptionResnetV1,
)
from emotalk_core.perception.landmarks.fan import CROP_SIZE, FAN
from emotalk_core.weights import ERROR, find_weights

Network = TypeVar("Network", bound=nn.Module)
GENERATOR_ENTRIES = ("g_ema", "g")  # of the public port and of EmoStyle
EMOTION_ENTRY = "emo_mapping_state_dict"


class FanHeatmaps(nn.Module):
    """FAN on the aligned face, as EmoStyle uses it (no crop of its own)."""

    id = "fan-4"
    standing_for = ""
    input_size = CROP_SIZE

    def __init__(self, network: FAN) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Float[Tensor, "B 3 256 256"]) -> Float[Tensor, "B 68 64 64"]:
        """Heatmaps of the last hourglass."""
        return self.network(images)[-1]


class EmoNetReading(nn.Module):
    """Valence and arousal of EmoNet, cut to -1..1."""

    id = "emonet-8"
    standing_for = ""
    input_size = 256

    def __init__(self, network: EmoNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Float[Tensor, "B 3 256 256"]) -> Float[Tensor, "B 2"]:
        """(valence, arousal)."""
        found = self.network(images)
        both = [found[name].reshape(len(images), 1) for name in ("valence", "arousal")]
        return functional.hardtanh(torch.cat(both, dim=1))


class VggFaceFeatures(nn.Module):
    """Embedding of the VGGFace2 network."""

    id = "vggface2-inception-resnet"
    standing_for = ""
    input_size = INPUT_SIZE

    def __init__(self, network: InceptionResnetV1) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Float[Tensor, "B 3 160 160"]) -> Float[Tensor, "B 512"]:
        """Unit vectors."""
        return self.network((images * 255 - CENTRE) / SPREAD)


def load_stylegan2(path: Path, size: int) -> tuple[StyleGAN2, Tensor | None]:
    """A generator of the public port (`g_ema`), of EmoStyle (`g`), of e4e, or a bare state dict.

    Args:
        path: torch file.
        size: side of its pictures, px.

    Returns:
        The generator (with a mapping where the file holds one) and the mean latent, if it is there.
    """
    entries = read_checkpoint(path)
    state = next((entries[name] for name in GENERATOR_ENTRIES if name in entries), entries)
    if "state_dict" in entries:
        state = with_prefix(entries["state_dict"], "decoder.")
    layers = [name for name in state if name.startswith("style.") and name.endswith("weight")]
    generator = StyleGAN2(size, n_mlp=len(layers))
    return load_strictly(generator, state, str(path)), entries.get("latent_avg")


def load_emo_extract(path: Path, size: int = 1024) -> EmoExtract:
    """EmoStyle's `EmoMappingWplus`, in its training checkpoint or as a bare state dict."""
    entries = read_checkpoint(path)
    return load_strictly(EmoExtract(size), entries.get(EMOTION_ENTRY, entries), str(path))


def load_e4e(
    path: Path, shape: GlefShape
) -> tuple[Encoder4Editing, StyleGAN2, Float[Tensor, "L D"]]:
    """Encoder, decoder and mean latent of an e4e file."""
    entries = read_checkpoint(path)
    state = entries.get("state_dict", {})
    encoder = load_strictly(build_encoder(shape), with_prefix(state, "encoder."), str(path))
    decoder = load_strictly(build_generator(shape), with_prefix(state, "decoder."), str(path))
    average = entries.get("latent_avg")
    if average is None:
        raise WeightsError(f"{path}: holds no latent_avg, so the encoder's answers have no centre")
    return encoder, decoder, average


def with_prefix(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Tensors whose name starts with `prefix`, without it."""
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}


def load_published_networks() -> GlefNetworks:
    """g_LEF's networks as the paper had them.

    Raises:
        WeightsError: a file is missing, altered or does not fit; says which and where it is from.
    """
    shape = GlefShape()
    encoder, generator, average = load_e4e(_path("e4e"), shape)
    emotion = load_emo_extract(_path("emostyle"), shape.size)
    critics = Critics(
        FanHeatmaps(_open("fan", FAN)),
        EmoNetReading(_open("emonet", EmoNet)),
        VggFaceFeatures(_open("facenet_vggface2", InceptionResnetV1)),
    )
    return GlefNetworks(shape, encoder, generator, emotion, critics, average)


def _path(name: str) -> Path:
    found = find_weights(name, ERROR)
    assert found is not None  # with ERROR it stops instead
    return found


def _open(name: str, build: Callable[[], Network]) -> Network:
    network = open_network(name, build, ERROR)
    assert network is not None  # with ERROR it stops instead
    return network
