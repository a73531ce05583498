"""The paper's networks: names and shapes of the public files, shapes of outputs, worked numbers.

Counts and names are facts of the public implementations (each was loaded with equal outputs to
1e-5 on seeded weights when these modules were written; docs/weights.md says against what).
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import nn

from emotalk_core.media.weight_files import load_strictly
from emotalk_core.weights import weight_files

from .seeded import noise, seed


@dataclass(frozen=True)
class Public:
    """What is known of a public state dict: entries, numbers in them, some names with shapes."""

    network: str
    n_entries: int
    n_numbers: int
    samples: dict[str, tuple[int, ...]]
    run: Callable[[nn.Module], object]
    shapes: object


def shapes_of(output: object) -> object:
    if isinstance(output, torch.Tensor):
        return tuple(output.shape)
    if isinstance(output, dict):
        return {name: tuple(value.shape) for name, value in output.items()}
    return [shapes_of(part) for part in output]  # type: ignore[attr-defined]


PUBLIC = (
    Public(
        "emotalk_core.perception.regions.bisenet:BiSeNet",
        191,
        13_313_119,
        {
            "cp.resnet.conv1.weight": (64, 3, 7, 7),
            "cp.resnet.layer2.0.downsample.0.weight": (128, 64, 1, 1),
            "cp.arm16.bn_atten.running_mean": (128,),
            "ffm.convblk.conv.weight": (256, 256, 1, 1),
            "conv_out.conv_out.weight": (19, 256, 1, 1),
            "conv_out32.conv.bn.bias": (64,),
        },
        lambda n: n(noise(1, 3, 64, 96)),
        [(1, 19, 64, 96)] * 3,
    ),
    Public(
        "emotalk_core.perception.teeth.easyportrait:EasyPortraitFPN",
        390,
        28_551_590,
        {
            "backbone.stem.6.weight": (64, 32, 3, 3),
            "backbone.layer3.5.conv2.weight": (256, 256, 3, 3),
            "neck.lateral_convs.3.conv.bias": (256,),
            "decode_head.scale_heads.3.4.conv.weight": (128, 128, 3, 3),
            "decode_head.scale_heads.0.0.bn.weight": (128,),
            "decode_head.conv_seg.weight": (8, 128, 1, 1),
        },
        lambda n: n(noise(1, 3, 64, 96)),
        (1, 8, 64, 96),
    ),
    Public(
        "emotalk_core.perception.normals.face_normals:ResNetUNet",
        404,
        46_986_026,
        {
            "base_model.fc.weight": (1000, 512),
            "layer0.0.weight": (64, 3, 7, 7),
            "layer1.1.0.conv1.weight": (64, 64, 3, 3),
            "layer1_2.1.1.bn2.running_var": (64,),
            "layer4_1x1.0.weight": (768, 512, 1, 1),
            "conv_up1.0.weight": (320, 320, 3, 3),
            "conv_original_size2_2.0.weight": (64, 128, 3, 3),
        },
        lambda n: n(noise(1, 3, 64, 32)),
        [(1, 3, 64, 32), (1, 3, 64, 32)],
    ),
    Public(
        "emotalk_core.perception.emotion.emonet:EmoNet",
        682,
        13_995_393,
        {
            "conv1.bias": (64,),
            "conv2.downsample.2.weight": (128, 64, 1, 1),
            "m1.b2_plus_1.conv3.weight": (64, 64, 3, 3),
            "al0.weight": (256, 68, 1, 1),
            "conv1x1_input_emo_2.weight": (256, 768, 1, 1),
            "emo_net_2.6.bn1.weight": (256,),
            "emo_fc_2.3.weight": (10, 128),
        },
        lambda n: n(noise(1, 3, 256, 256)),
        {"heatmap": (1, 68, 64, 64), "expression": (1, 8), "valence": (1,), "arousal": (1,)},
    ),
    Public(
        "emotalk_core.perception.landmarks.fan:FAN",
        1129,
        23_874_504,
        {
            "conv4.downsample.0.running_mean": (128,),
            "m3.b1_4.conv1.weight": (128, 256, 3, 3),
            "top_m_2.bn2.bias": (128,),
            "l3.weight": (68, 256, 1, 1),
            "bl2.bias": (256,),
        },
        lambda n: n(noise(1, 3, 64, 64)),
        [(1, 68, 16, 16)] * 4,
    ),
    Public(
        "emotalk_core.perception.identity.inception_resnet:InceptionResnetV1",
        714,
        23_512_336,
        {
            "conv2d_1a.conv.weight": (32, 3, 3, 3),
            "repeat_1.4.branch2.2.bn.running_var": (32,),
            "repeat_2.9.branch1.1.conv.weight": (128, 128, 1, 7),
            "mixed_7a.branch2.2.conv.weight": (256, 256, 3, 3),
            "block8.conv2d.bias": (1792,),
            "last_linear.weight": (512, 1792),
        },
        lambda n: n(noise(1, 3, 160, 160)),
        (1, 512),
    ),
    Public(
        "emotalk_core.perception.perceptual.lpips_alex:LPIPS",
        22,
        2_472_006,
        {
            "scaling_layer.shift": (1, 3, 1, 1),
            "net.slice1.0.weight": (64, 3, 11, 11),
            "net.slice5.10.bias": (256,),
            "lin1.model.1.weight": (1, 192, 1, 1),
            "lins.4.model.1.weight": (1, 256, 1, 1),
        },
        lambda n: n(noise(2, 3, 64, 80), noise(2, 3, 64, 80, number=2)),
        (2, 1, 1, 1),
    ),
    Public(
        "emotalk_core.speech.sync.syncnet:SyncNet",
        102,
        13_640_270,
        {
            "netcnnaud.0.weight": (64, 1, 3, 3),
            "netcnnaud.18.weight": (512, 256, 5, 4),
            "netfcaud.3.weight": (1024, 512),
            "netfclip.1.running_mean": (512,),
            "netcnnlip.0.weight": (96, 3, 5, 7, 7),
            "netcnnlip.18.weight": (512, 256, 1, 6, 6),
        },
        lambda n: n(noise(1, 1, 13, 20), noise(1, 3, 5, 224, 224)),
        [(1, 1024), (1, 1024)],
    ),
    Public(
        "emotalk_core.speech.sync.wav2lip:SyncNetColor",
        217,
        16_449_183,
        {
            "face_encoder.0.conv_block.0.weight": (32, 15, 7, 7),
            "face_encoder.16.conv_block.0.weight": (512, 512, 1, 1),
            "audio_encoder.3.conv_block.0.weight": (64, 32, 3, 3),
            "audio_encoder.13.conv_block.1.running_var": (512,),
        },
        lambda n: n(noise(2, 1, 80, 16), noise(2, 15, 48, 96)),
        [(2, 512), (2, 512)],
    ),
    Public(
        "emotalk_core.speech.features.ave:AudioEncoder",
        91,
        2_817_101,
        {
            "audio_encoder.11.conv_block.0.weight": (512, 256, 3, 3),
            "audio_encoder.12.conv_block.0.weight": (512, 512, 1, 1),
        },
        lambda n: n(noise(3, 1, 80, 16)),
        (3, 512),
    ),
)


def build(name: str) -> nn.Module:
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)()


@pytest.mark.parametrize("public", PUBLIC, ids=lambda p: p.network.split(":")[1])
def test_names_shapes_and_forward(public: Public) -> None:
    network = seed(build(public.network))
    state = network.state_dict()
    for name, shape in public.samples.items():
        assert tuple(state[name].shape) == shape, name
    assert len(state) == public.n_entries
    assert sum(t.numel() for t in state.values()) == public.n_numbers
    with torch.no_grad():
        first = public.run(network)
    assert shapes_of(first) == public.shapes
    again = load_strictly(build(public.network), state, "round trip")
    second = public.run(again)
    for one, other in zip(flat(first), flat(second), strict=True):
        assert torch.isfinite(one).all() and torch.equal(one, other)
    assert not any(p.requires_grad for p in again.parameters())


def flat(output: object) -> list[torch.Tensor]:
    if isinstance(output, torch.Tensor):
        return [output]
    parts = output.values() if isinstance(output, dict) else output
    return [tensor for part in parts for tensor in flat(part)]  # type: ignore[union-attr]


def test_every_entry_of_the_table_names_a_network_that_exists() -> None:
    with torch.device("meta"):  # shapes alone: some have hundreds of millions of numbers
        for entry in weight_files().values():
            if entry.network:
                assert isinstance(build(entry.network), nn.Module), entry.name


def test_classifier_of_vggface2_is_taken_with_the_file() -> None:
    from emotalk_core.perception.identity.inception_resnet import InceptionResnetV1

    with_people = seed(InceptionResnetV1(n_classes=31))
    network = load_strictly(InceptionResnetV1(), with_people.state_dict(), "file")
    assert network.logits.out_features == 31


def test_embeddings_have_unit_length() -> None:
    from emotalk_core.speech.sync.wav2lip import SyncNetColor

    sound, lips = seed(SyncNetColor())(noise(2, 1, 80, 16), noise(2, 15, 48, 96))
    for vectors in (sound, lips):
        assert torch.allclose(vectors.norm(dim=1), torch.ones(2), atol=1e-6)


def test_lpips_of_equal_pictures_is_zero_and_has_a_finite_gradient() -> None:
    from emotalk_core.perception.perceptual.lpips_alex import LPIPS

    network = seed(LPIPS())
    picture = noise(1, 3, 64, 64).requires_grad_()
    distance = network(picture, torch.zeros(1, 3, 64, 64))
    distance.sum().backward()
    assert network(picture, picture).item() == 0
    assert picture.grad is not None and torch.isfinite(picture.grad).all()


def test_lpips_joins_the_two_published_files() -> None:
    from emotalk_core.perception.perceptual.lpips_alex import LPIPS, lpips_state

    whole = seed(LPIPS()).state_dict()
    trunk = {
        f"features.{name.split('.', 2)[2]}": tensor
        for name, tensor in whole.items()
        if name.startswith("net.")
    }
    trunk["classifier.1.weight"] = torch.zeros(3)
    heads = {
        name: tensor for name, tensor in whole.items() if name.startswith("lin") and name[3] != "s"
    }
    joined = lpips_state(trunk, heads)
    assert set(joined) == set(whole)
    assert all(
        torch.equal(joined[n], whole[n]) for n in whole if not n.startswith(("scaling", "lins"))
    )


def test_ave_file_without_its_prefix_loads() -> None:
    from emotalk_core.speech.features.ave import PREFIX, AudioEncoder, prefixed

    state = seed(AudioEncoder()).state_dict()
    short = {name.removeprefix(PREFIX): tensor for name, tensor in state.items()}
    load_strictly(AudioEncoder(), prefixed(short), "file")
    load_strictly(AudioEncoder(), prefixed(dict(state)), "file")
