"""Configuration: a mapping in; checked with all defaults, or every mistake at once, out."""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Iterator, Mapping
from copy import deepcopy
from functools import lru_cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, ValidationError

from emotalk_core.errors import ConfigError, InputError
from emotalk_core.types.metrics import ALL_CLIPS
from emotalk_core.types.names import check_subject_name

SCHEMA_FILE = Path(__file__).parent / "config_schema.json"


@lru_cache(maxsize=1)
def schema() -> dict[str, Any]:
    """The JSON schema of config.yaml (draft 2020-12); its descriptions give the units."""
    data: dict[str, Any] = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
    return data


def checked_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Validate a configuration and fill in defaults.

    Args:
        config: the merged mapping of config.yaml, preset files and command line.

    Returns:
        A new mapping with every key of the schema present.

    Raises:
        ConfigError: one report with all mistakes: the key's path, what was got, what was wanted
            (type, choices or range), and for unknown keys the nearest known one.
    """
    plain = json.loads(json.dumps(config))  # OrderedDict and tuples of YAML readers become plain
    mistakes = [line for error in _errors(plain) for line in _explain(error)]
    mistakes += _bad_names(plain)
    mistakes += [f"{key}={value}: wanted a finite number" for key, value in _endless(plain)]
    if not mistakes:
        mistakes += _contradictions(_with_defaults(plain, schema()))
    if mistakes:
        listing = "\n".join(f"  {n}. {line}" for n, line in enumerate(mistakes, 1))
        raise ConfigError(
            f"config: {len(mistakes)} mistake(s) found; nothing was run:\n{listing}\n"
            "Keys, units and ranges are explained in config.yaml; presets lie in presets/."
        )
    return _with_defaults(plain, schema())


def block(config: Mapping[str, Any], *path: str) -> str:
    """One block of a checked configuration as sorted JSON, as rules carry it in a param.

    Giving each rule only its own block makes a changed key rerun exactly its users.
    """
    value: Any = config
    for key in path:
        value = value[key]
    return json.dumps(value, sort_keys=True)


def _errors(config: dict[str, Any]) -> Iterator[ValidationError]:
    validator = Draft202012Validator(schema())
    yield from sorted(
        validator.iter_errors(config), key=lambda e: [str(p) for p in e.absolute_path]
    )


def _path(error: ValidationError) -> str:
    return ".".join(str(part) for part in error.absolute_path) or "config"


def _explain(error: ValidationError) -> Iterator[str]:
    """Turn one schema error into sentences; an unknown key names its nearest known neighbour."""
    where, known = _path(error), error.schema
    if error.validator == "additionalProperties" and isinstance(error.instance, dict):
        names = list(known.get("properties", {}))
        for key in error.instance:
            if key not in names:
                near = difflib.get_close_matches(key, names, n=1, cutoff=0.5)
                hint = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(names)}"
                prefix = "" if where == "config" else f"{where}."
                yield f"{prefix}{key}: unknown key; {hint}"
    elif error.validator == "required":
        missing = [k for k in known["required"] if k not in error.instance]
        yield f"{where}: key {missing[0]!r} is missing; add it"
    elif error.validator == "type":
        yield f"{where}={_short(error.instance)}: wanted {_wanted(known)}{_as_text(error)}"
    elif error.validator == "oneOf" and not isinstance(error.instance, dict):
        return  # its type is wrong, which is said already
    else:
        yield f"{where}={_short(error.instance)}: wanted {_wanted(known)} ({error.validator})"


def _as_text(error: ValidationError) -> str:
    """Why a number can arrive as text: Snakemake reads values inside braces of --config so."""
    try:
        float(error.instance if isinstance(error.instance, str) else "")
    except ValueError:
        return ""
    kinds = error.schema["type"]
    if not {"integer", "number"} & set([kinds] if isinstance(kinds, str) else kinds):
        return ""
    return ", not text; nested values of --config arrive as text: give them in a --configfile"


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _wanted(known: Mapping[str, Any]) -> str:
    """Type, choices and range of a schema node in words."""
    if "enum" in known:
        return "one of " + ", ".join(json.dumps(v) for v in known["enum"])
    parts = [_type_words(known)]
    low = known.get("minimum", known.get("exclusiveMinimum"))
    high = known.get("maximum", known.get("exclusiveMaximum"))
    if low is not None or high is not None:
        parts.append(f"in {'-inf' if low is None else low}..{'inf' if high is None else high}")
    if "pattern" in known:
        parts.append(f"matching {known['pattern']}")
    return " ".join(parts)


def _type_words(known: Mapping[str, Any]) -> str:
    kind = known.get("type")
    if kind is None and "oneOf" in known:
        return " or ".join(_type_words(k) for k in known["oneOf"])
    if isinstance(kind, list):
        return " or ".join(kind)
    if kind == "object":
        one_of = known.get("oneOf", [known])
        keys = [", ".join(choice["required"]) for choice in one_of if "required" in choice]
        return f"a mapping with {' or '.join(keys)}" if keys else "a mapping"
    return str(kind or "another value")


def _bad_names(config: Mapping[str, Any]) -> list[str]:
    mistakes = []
    subjects = config.get("subjects")
    for name in subjects if isinstance(subjects, dict) else ():
        try:
            check_subject_name(name)
        except InputError as error:
            mistakes.append(f"subjects: {error}")
    return mistakes


def _endless(value: Any, path: str = "") -> Iterator[tuple[str, float]]:
    """Numbers that are none (.nan, .inf): they pass every range of the schema."""
    if isinstance(value, float) and not math.isfinite(value):
        yield path, value
    elif isinstance(value, dict | list):
        for key, child in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _endless(child, f"{path}.{key}" if path else str(key))


def _contradictions(config: Mapping[str, Any]) -> Iterator[str]:
    """Values that are right alone and wrong together; each would end its job, some after hours."""
    quality, bank = config["quality"], config["emotion_bank"]
    if quality["min_brightness"] >= quality["max_brightness"]:
        yield (
            f"quality.min_brightness={quality['min_brightness']}: wanted less than "
            f"max_brightness={quality['max_brightness']}"
        )
    if bank["holdout_radius"] >= bank["radius"]:
        yield (
            f"emotion_bank.holdout_radius={bank['holdout_radius']}: wanted less than "
            f"radius={bank['radius']}"
        )
    if config["normals"]["method"] == "onnx" and not config["normals"]["onnx"]:
        yield 'normals.onnx="": wanted the path of a model, since normals.method is onnx'
    for scenario, sounds in config["driving"].items():
        names = [Path(sound).stem for sound in sounds]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            yield (
                f"driving.{scenario}: {', '.join(twice)} occurs twice; clips are told apart by "
                "the file's name without folder and ending: rename one"
            )
        if ALL_CLIPS in names:
            yield f"driving.{scenario}: {ALL_CLIPS!r} names the row over all: rename the file"


def _with_defaults(value: Any, node: Mapping[str, Any]) -> Any:
    """Fill defaults of a schema node into a value, recursively."""
    if not isinstance(value, dict) or "properties" not in node:
        return value
    filled = dict(value)
    for key, child in node["properties"].items():
        if key in filled:
            filled[key] = _with_defaults(filled[key], child)
        elif "default" in child:
            filled[key] = deepcopy(child["default"])
        elif child.get("type") == "object":
            filled[key] = _with_defaults({}, child)
    return filled
