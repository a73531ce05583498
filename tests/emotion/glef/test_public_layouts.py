"""StyleGAN2, e4e and EmoExtract: names, shapes and numbers of the public implementations."""

from __future__ import annotations

import math

import pytest
import torch

from emotalk_core.emotion.glef.e4e import Encoder4Editing
from emotalk_core.emotion.glef.emostyle import EmoExtract
from emotalk_core.emotion.glef.layers import (
    Blur,
    EqualLinear,
    ModulatedConv2d,
    Upsample,
    fused_leaky_relu,
)
from emotalk_core.emotion.glef.model import TINY, build_encoder, build_generator
from emotalk_core.emotion.glef.published import load_e4e, load_emo_extract, load_stylegan2
from emotalk_core.emotion.glef.stylegan2 import Mapping, StyleGAN2, n_styles
from emotalk_core.errors import ConfigError, WeightsError


def shapes(module: torch.nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in module.state_dict().items()}


@pytest.fixture(scope="module")
def generator() -> StyleGAN2:
    torch.manual_seed(0)
    network = StyleGAN2(16).eval().requires_grad_(False)
    for name, value in network.named_parameters():
        if name.endswith(("noise.weight", "bias")):
            value.add_(0.1 * torch.randn_like(value))
    return network


# (size, tensors) counted on the public port, mapping included.
@pytest.mark.parametrize(("size", "tensors"), [(64, 99), (256, 135), (1024, 171)])
def test_generator_has_the_public_names(size: int, tensors: int) -> None:
    with torch.device("meta"):
        found = shapes(StyleGAN2(size))
    assert len(found) == tensors
    assert found["style.1.weight"] == (512, 512) and "style.8.bias" in found
    assert found["input.input"] == (1, 512, 4, 4)
    assert found["conv1.conv.weight"] == (1, 512, 512, 3, 3)
    assert found["conv1.noise.weight"] == (1,) and found["conv1.activate.bias"] == (512,)
    assert found["convs.0.conv.blur.kernel"] == (4, 4)
    assert found["to_rgbs.0.upsample.kernel"] == (4, 4)
    last = n_styles(size) // 2 - 2
    assert found[f"to_rgbs.{last}.bias"] == (1, 3, 1, 1)
    assert found[f"noises.noise_{2 * last + 2}"] == (1, 1, size, size)
    channels = {64: 512, 256: 128, 1024: 32}[size]
    assert found[f"convs.{2 * last + 1}.conv.weight"] == (1, channels, channels, 3, 3)
    with torch.device("meta"):
        without = shapes(StyleGAN2(size, n_mlp=0))
        mapping = shapes(Mapping())
    assert without == {k: v for k, v in found.items() if not k.startswith("style.")}
    assert mapping == {
        k.replace("style.", "latent_net."): v for k, v in found.items() if k.startswith("style.")
    }


def test_emo_extract_has_the_public_names() -> None:
    with torch.device("meta"):
        found = shapes(EmoExtract(1024))
    assert len(found) == 4 + 18 * 8
    assert found["emotion_enc.0.weight"] == (32, 2) and found["emotion_enc.2.weight"] == (64, 32)
    widths = [found[f"latent_net.17.{i}.weight"] for i in (0, 2, 4, 6)]
    assert widths == [(2048, 576), (1024, 2048), (512, 1024), (512, 512)]


def test_e4e_has_the_public_names() -> None:
    with torch.device("meta"):
        found = shapes(Encoder4Editing(1024))
    assert len(found) == 621
    assert found["body.3.shortcut_layer.0.weight"] == (128, 64, 1, 1)
    assert found["body.23.res_layer.5.fc1.weight"] == (32, 512, 1, 1)
    assert found["styles.0.convs.6.weight"] == (512, 512, 3, 3)
    assert "styles.3.convs.8.weight" in found and "styles.7.convs.10.weight" in found
    assert found["latlayer2.weight"] == (512, 128, 1, 1)


def test_blur_of_an_impulse_by_hand() -> None:
    picture = torch.zeros(1, 2, 5, 5)
    picture[:, 1, 2, 2] = 1
    taps = torch.tensor([1.0, 3, 3, 1]) / 4
    out = Blur()(picture)
    assert out.shape == (1, 2, 4, 4) and not out[0, 0].any()
    assert torch.allclose(out[0, 1], taps[:, None] * taps)


def test_upsampling_keeps_a_constant_inside() -> None:
    out = Upsample()(torch.ones(1, 3, 8, 8))
    assert out.shape == (1, 3, 16, 16)
    assert torch.allclose(out[:, :, 2:-2, 2:-2], torch.ones(1, 3, 12, 12))


def test_activation_and_equalised_rate_by_hand() -> None:
    x = torch.tensor([[1.0, -1.0]])
    found = fused_leaky_relu(x, torch.tensor([1.0, 0.0]))
    assert found[0].tolist() == pytest.approx([2 * math.sqrt(2), -0.2 * math.sqrt(2)])
    layer = EqualLinear(4, 1, bias_init=2.0, rate=0.01)
    layer.weight.data.fill_(100.0)
    assert layer(torch.ones(1, 4)).item() == pytest.approx(4 * 100 * 0.01 / 2 + 2 * 0.01)


@pytest.mark.parametrize("upsample", [False, True])
def test_modulated_convolution_in_both_ways(upsample: bool) -> None:
    torch.manual_seed(1)
    layer = ModulatedConv2d(6, 5, 3, 8, upsample=upsample).double()
    x, style = torch.randn(3, 6, 9, 9).double(), torch.randn(3, 8).double()
    first = layer(x, style)
    layer.fused = False
    assert first.shape[-1] == (18 if upsample else 9)
    assert torch.allclose(first, layer(x, style), atol=1e-12)


def test_demodulated_filters_have_unit_norm() -> None:
    layer = ModulatedConv2d(16, 4, 3, 8)
    out = layer(torch.ones(1, 16, 64, 64), torch.randn(1, 8) * 5)
    wide = ModulatedConv2d(16, 512, 3, 8)(torch.randn(1, 16, 32, 32), torch.randn(1, 8) * 5)
    assert out.shape == (1, 4, 64, 64)
    assert wide[:, :, 1:-1, 1:-1].std().item() == pytest.approx(1.0, abs=0.1)


def test_noise_is_constant_unless_asked_for(generator: StyleGAN2) -> None:
    latent = torch.randn(1, 512)
    assert torch.equal(generator(latent), generator(latent))
    assert not torch.equal(generator(latent, randomize_noise=True), generator(latent))
    given = generator(latent, noise=generator.constant_noise())
    assert torch.equal(given, generator(latent))


def test_latents_in_z_w_and_w_plus(generator: StyleGAN2) -> None:
    z = torch.randn(2, 512)
    w = generator.style(z)
    by_z = generator(z, input_is_latent=False)
    assert torch.equal(by_z, generator(w))
    assert torch.equal(by_z, generator(w[:, None].repeat(1, 6, 1)))
    mean = torch.randn(1, 512)
    cut = generator(z, input_is_latent=False, truncation=0.7, truncation_latent=mean)
    assert torch.equal(cut, generator(mean + 0.7 * (w - mean)))


def test_sizes_that_are_no_power_of_two_are_refused() -> None:
    with pytest.raises(ConfigError, match="size=96"):
        StyleGAN2(96)


def test_files_of_all_public_layouts_load(tmp_path, generator: StyleGAN2) -> None:
    state, w = generator.state_dict(), torch.randn(1, 512)
    bare = {k: v for k, v in state.items() if not k.startswith("style.")}
    average = torch.randn(512)
    layouts = {
        "port": {"g_ema": state, "latent_avg": average},
        "emostyle": {"g": bare, "m": {}, "latent_avg": average},
        "e4e": {"state_dict": {f"decoder.{k}": v for k, v in state.items()}},
        "bare": bare,
    }
    for name, content in layouts.items():
        path = tmp_path / f"{name}.pt"
        torch.save(content, path)
        loaded, found = load_stylegan2(path, 16)
        assert torch.equal(loaded(w), generator(w)), name
        assert (found is not None) == ("latent_avg" in content)


def test_wrong_and_hostile_files_are_refused(tmp_path, generator: StyleGAN2) -> None:
    wrong = dict(generator.state_dict())
    wrong.pop("conv1.activate.bias")
    torch.save({"g_ema": wrong}, tmp_path / "short.pt")
    with pytest.raises(WeightsError, match=r"conv1\.activate\.bias"):
        load_stylegan2(tmp_path / "short.pt", 16)
    torch.save({"g_ema": generator}, tmp_path / "pickle.pt")  # a whole object, as NVIDIA's files
    with pytest.raises(WeightsError, match="refused"):
        load_stylegan2(tmp_path / "pickle.pt", 16)
    with pytest.raises(WeightsError, match="missing"):
        load_emo_extract(tmp_path / "absent.pt")
    torch.save({"state_dict": {}}, tmp_path / "empty.pt")
    with pytest.raises(WeightsError, match="does not fit"):
        load_e4e(tmp_path / "empty.pt", TINY)


def test_an_e4e_file_brings_encoder_decoder_and_mean(tmp_path) -> None:
    torch.manual_seed(2)
    encoder, decoder = build_encoder(TINY), build_generator(TINY)
    state = {f"encoder.{k}": v for k, v in encoder.state_dict().items()}
    state |= {f"decoder.{k}": v for k, v in decoder.state_dict().items()}
    content = {"state_dict": state, "latent_avg": torch.randn(10, 32), "opts": {"lr": 1e-4}}
    torch.save(content, tmp_path / "e4e.pt")
    found, synthesis, average = load_e4e(tmp_path / "e4e.pt", TINY)
    picture = torch.rand(1, 3, 32, 32)
    assert torch.equal(found(picture), encoder.eval()(picture))
    assert torch.equal(average, content["latent_avg"])
    assert torch.equal(synthesis(average[None]), decoder(average[None]))


def test_emo_extract_from_a_training_checkpoint(tmp_path) -> None:
    small = EmoExtract(8)  # four styles
    content = {"epoch": 2, "emo_mapping_state_dict": small.state_dict()}
    torch.save(content, tmp_path / "emo.pt")
    loaded = load_emo_extract(tmp_path / "emo.pt", 8)
    latents, emotion = torch.randn(2, 4, 512), torch.tensor([[0.5, -0.5], [0.0, 0.0]])
    assert torch.equal(loaded(latents, emotion), small(latents, emotion))


def test_small_generator_is_small() -> None:
    network = build_generator(TINY)
    assert network(torch.zeros(1, 10, 32)).shape == (1, 3, 64, 64)
    assert sum(p.numel() for p in network.parameters()) < 200_000
