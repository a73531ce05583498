"""Checked configuration, subject sources and the small helpers that every rule file uses."""

import re
import sys
from functools import cache
from pathlib import Path

sys.path.insert(0, f"{workflow.basedir}/workflow_scripts")

from _checkout import use_this_checkout

use_this_checkout()

from _planning import quicken_planning
from _run_progress import follow_run
from _run_record import clear_stale_lock, mark_run, record_run
from emotalk_core.code_version import code_version, remember_in
from emotalk_core.config import block, checked_config
from emotalk_core.errors import EmotalkError, InputError
from emotalk_core.types.metrics import TABLE_FILES
from emotalk_core.types.names import RESERVED, check_known_subject
from emotalk_core.weights import chosen_weights, weights_param
from snakemake.exceptions import WorkflowError
from snakemake.logging import logger

quicken_planning()
remember_in(Path(".snakemake/code_versions.json"))
mark_run()
RUN_PROGRESS = follow_run(logger)
if message := clear_stale_lock():
    logger.info(message)
try:
    CONFIG = checked_config(config)
except EmotalkError as error:
    raise WorkflowError(str(error)) from None

SEED = CONFIG["seed"]
DEVICE = CONFIG["device"]
METHODS = CONFIG["methods"]
SCENARIOS = ["self_reconstruction", "cross_audio", "emotion"]
SUBJECT = "results/{subject}"
ENV = "../envs/core.yaml"
# wav2vec 2.0 and HuBERT need a package more.
NEEDS_MORE = CONFIG["speech"]["extractor"] in ("wav2vec2", "hubert")
ENV_SPEECH = "../envs/speech_reference.yaml" if NEEDS_MORE else ENV
# Artifact name -> file inside the subject's folder (docs/artifacts.md says what each holds).
FILES = {
    "manifest": "manifest.json",
    "video": "video.mkv",
    "audio": "audio.wav",
    "track": "track.npz",
    "cameras": "cameras.json",
    "regions": "regions.mkv",
    "alpha": "alpha.mkv",
    "normals": "normals.mkv",
    "torso": "torso.mkv",
    "background": "background.png",
    "action_units": "action_units.csv",
    "valence_arousal": "valence_arousal.csv",
    "speech": "speech.npz",
    "tracked_cameras": "tracked_cameras.json",
    "sync_expert": "sync_expert.safetensors",
    "quality_json": "quality.json",
    "quality_png": "quality.png",
    "bank_frames": "emotion_bank/frames.mkv",
    "bank_regions": "emotion_bank/regions.mkv",
    "bank_normals": "emotion_bank/normals.mkv",
    "bank_landmarks": "emotion_bank/landmarks.npz",
    "bank_index": "emotion_bank/index.csv",
    "metrics": "metrics.csv",
}
# What training needs of a clip.
CLIP = [name for name in list(FILES)[:13] if name not in ("audio", "background")]


wildcard_constraints:
    subject="[A-Za-z0-9_-]+",
    method="|".join(METHODS),


def settings(*path):
    """A rule's own config block as text (a changed key reruns its users only)."""
    return block(CONFIG, *path)


def weights(*blocks):
    """Which bytes lie where the weights of these blocks are looked for (a changed file reruns its users)."""
    return weights_param(CONFIG, *blocks)


def artifacts(*names):
    """Named artifact paths of a subject, for input and output sections."""
    return {name: f"{SUBJECT}/{FILES[name]}" for name in names}


def memory(megabytes):
    """Memory request that doubles with every retry."""
    return lambda wildcards, attempt: megabytes * 2 ** (attempt - 1)


def training_memory(stage, megabytes):
    """Memory of a training stage: what it needs with the usual cache, and what the config adds to that."""
    usual = 1024  # MiB, config.yaml
    return memory(megabytes + max(0, CONFIG["training"][stage]["cache_mib"] - usual))


def users_file(room, key, when=True):
    """A file of the user's that the config names, as an input: other content reruns its readers."""
    path = CONFIG[room][key] if when else ""
    return [path] if path else []


def subject_source(wildcards):
    """Path of a subject's video: the user's file, or the synthetic actor's clip."""
    entry = CONFIG["subjects"][known_subject(wildcards.subject)]
    return entry.get("video") or f"results/common/actor/{wildcards.subject}.mp4"


def driving_sounds(scenario):
    """Sound files that drive a scenario: synthesized sentences by name, or the user's own files."""
    names = CONFIG["driving"].get(scenario, [])
    shared = "results/common/speech"
    return [
        f"{shared}/{n}.wav" if re.fullmatch(r"sentence_\d\d", n) else n for n in names
    ]


def known_subject(name):
    """A subject that the configuration lists, or the end of the planning with the nearest name."""
    try:
        return check_known_subject(name, CONFIG["subjects"])
    except InputError as error:
        raise WorkflowError(str(error)) from error


@cache
def present_subjects():
    """Subjects whose input is there; the others are named once."""
    here = {
        n: e
        for n, e in CONFIG["subjects"].items()
        if "actor" in e or Path(e["video"]).exists()
    }
    for name, entry in CONFIG["subjects"].items():
        if name not in here:
            logger.warning(
                f"subject {name}: left out, its video {entry['video']} is not there"
            )
    return list(here)


# Targets are not known to the engine yet while it reads this file: the command line names them.
for target in [word for word in sys.argv[1:] if word.startswith("results/")]:
    name = Path(target).parts[1] if len(Path(target).parts) > 2 else "common"
    if name not in RESERVED:
        known_subject(name)


def check_device():
    """End before the first job when a job of this run, on this machine, names a device that is not here."""
    jobs = workflow.dag.needrun_jobs()
    if not workflow.local_exec or not any("device" in j.params.keys() for j in jobs):
        return
    from emotalk_core.gaussians.backends import compute_device

    try:
        compute_device(DEVICE)
    except EmotalkError as error:
        raise WorkflowError(str(error)) from None


onstart:
    check_device()
    record_run()
    RUN_PROGRESS.begin()
