"""The configuration is checked whole: all mistakes at once, neighbours named, ranges given."""

from __future__ import annotations

import dataclasses
import importlib
from pathlib import Path

import pytest
import yaml

from emotalk_core.config import block, checked_config, schema
from emotalk_core.errors import ConfigError

ROOT = Path(__file__).parents[1]
# config block -> the settings record that reads it (one reader per key)
READERS = {
    ("weights",): "weights:WeightSettings",
    ("ingest",): "perception.ingest.settings:IngestSettings",
    ("tracking",): "perception.tracking.settings:TrackingSettings",
    ("poses",): "training.poses.settings:PoseSettings",
    ("regions",): "perception.regions.settings:RegionSettings",
    ("normals",): "perception.normals.settings:NormalSettings",
    ("torso",): "perception.torso.settings:TorsoSettings",
    ("action_units",): "perception.action_units.settings:ActionUnitSettings",
    ("emotion_reader",): "perception.emotion.settings:EmotionReaderSettings",
    ("quality",): "evaluation.quality.checks:QualitySettings",
    ("speech",): "speech.stage:SpeechSettings",
    ("synthesis",): "speech.synthesis.stage:SynthesisSettings",
    ("emotion_bank",): "emotion.stage:BankSettings",
    ("glef",): "emotion.glef.settings:GlefSettings",
    ("sync_expert",): "training.sync_expert:SyncSettings",
    ("sync_loss",): "training.settings:SyncLossSettings",
    ("pixel_sync_expert",): "training.sync_expert:SyncSettings",
    ("training", "mouth"): "training.settings:TrainingSettings",
    ("training", "face"): "training.settings:TrainingSettings",
    ("training", "emotion"): "training.settings:TrainingSettings",
    ("training", "avatar"): "training.settings:TrainingSettings",
    ("render",): "serving.stage:RenderSettings",
    ("evaluation",): "evaluation.settings:EvaluationSettings",
    ("report",): "evaluation.report.inputs:ReportSettings",
}


def default_config() -> dict:
    return yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))


def node(path: tuple[str, ...]) -> dict:
    here = schema()
    for key in path:
        here = here["properties"][key]
    return here


def reader(path: tuple[str, ...]) -> type:
    module, _, name = READERS[path].partition(":")
    return getattr(importlib.import_module(f"emotalk_core.{module}"), name)


def test_shipped_config_and_presets_are_valid() -> None:
    checked_config(default_config())
    for preset in sorted((ROOT / "presets").glob("*.yaml")):
        merged = merge(default_config(), yaml.safe_load(preset.read_text(encoding="utf-8")))
        assert checked_config(merged)["preset"] == preset.stem


def merge(base: dict, change: dict) -> dict:
    out = dict(base)
    for key, value in change.items():
        both = isinstance(value, dict) and isinstance(out.get(key), dict)
        out[key] = merge(out[key], value) if both else value
    return out


def test_all_mistakes_come_in_one_report() -> None:
    config = merge(
        default_config(),
        {
            "ingest": {"szie": 256},
            "seed": "seven",
            "evaluation": {"block_frames": -3},
            "subjects": {"../up": {"video": "x.mp4"}},
        },
    )
    with pytest.raises(ConfigError) as caught:
        checked_config(config)
    text = str(caught.value)
    assert "4 mistake(s)" in text
    assert "ingest.szie: unknown key; did you mean 'size'?" in text
    assert 'seed="seven": wanted integer' in text
    assert "evaluation.block_frames=-3: wanted integer in 1.." in text
    assert "../up" in text


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"quality": {"min_brightness": 220}}, "quality.min_brightness=220: wanted less than"),
        ({"emotion_bank": {"radius": 0.1, "holdout_radius": 0.2}}, "emotion_bank.holdout_radius"),
        ({"normals": {"method": "onnx"}}, "normals.onnx"),
        ({"evaluation": {"block_frames": float("nan")}}, "evaluation.block_frames=nan"),
        ({"ingest": {"size": float("inf")}}, "ingest.size"),
        ({"driving": {"cross_audio": ["a/x.wav", "b/x.wav"]}}, "x occurs twice"),
        ({"driving": {"training": ["a/all.wav"]}}, "'all'"),
        ({"driving": {"emotion": ["sentence_05", "sentence_07"]}}, "driving.emotion"),
        ({"torso": {"plate_frames": 0}}, "torso.plate_frames=0"),
    ],
)
def test_what_would_end_a_job_late_ends_early(change: dict, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        checked_config(merge(default_config(), change))
    assert said in str(caught.value)


@pytest.mark.parametrize("path", READERS, ids=".".join)
def test_schema_and_reader_agree(path: tuple[str, ...]) -> None:
    """Same keys, and the same defaults where both have one: code and schema cannot drift."""
    fields = {f.name: f for f in dataclasses.fields(reader(path))}
    keys = node(path)["properties"]
    assert set(keys) == set(fields)
    assert node(path)["additionalProperties"] is False
    for name, entry in keys.items():
        assert entry["description"], name


@pytest.mark.parametrize("path", READERS, ids=".".join)
def test_reader_takes_the_checked_block(path: tuple[str, ...]) -> None:
    import json

    config = checked_config(default_config())
    reader(path)(**json.loads(block(config, *path)))


def test_every_key_of_the_schema_is_explained_in_config_yaml() -> None:
    text = (ROOT / "config.yaml").read_text(encoding="utf-8")
    for path in READERS:
        for name in node(path)["properties"]:
            assert f"{name}:" in text, f"{'.'.join(path)}.{name}"


def test_a_number_that_arrived_as_text_says_why() -> None:
    """Snakemake's --config "ingest={size: 128}" hands over the text 128."""
    with pytest.raises(ConfigError, match=r'ingest\.size="128": .*not text; .*--configfile'):
        checked_config({"ingest": {"size": "128"}})


@pytest.mark.parametrize("subject", ["my.mp4", {}, {"actor": {}, "video": "my.mp4"}])
def test_a_subject_says_once_what_it_may_be(subject: object) -> None:
    with pytest.raises(ConfigError, match=r"1 mistake.*\n.*wanted a mapping with video or actor"):
        checked_config({"subjects": {"me": subject}})
