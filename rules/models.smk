"""Packaged networks: how their weight files were made (nothing of a subject's run needs these rules)."""

PARSING = "results/common/parsing"


# Pictures of random actors with exact labels, 34 people each.
rule render_lessons:
    output:
        lessons=temp(f"{PARSING}/lessons_{{part}}.npz"),
    log:
        "results/common/logs/render_lessons_{part}.log",
    conda:
        ENV
    threads: 1
    resources:
        mem_mb=memory(3000),
    params:
        identities=34,
        frames=9,  # of each person
        size=320,  # px
    script:
        "../workflow_scripts/render_lessons.py"


# The result is copied to emotalk_core/perception/parsing/data/ by hand, after a look (docs/regions.md).
rule train_parser:
    input:
        lessons=expand(f"{PARSING}/lessons_{{part}}.npz", part=[1, 2]),
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
        steps=lambda wildcards: {"head_parts": 900, "mouth_parts": 1300}[wildcards.task],
        seed=SEED,
    script:
        "../workflow_scripts/train_parser.py"
