"""Renders of the three scenarios, their scores beside the trivial rows, and the subject's metrics.csv."""


rule render_scenario:
    input:
        **artifacts(
            "manifest",
            "track",
            "cameras",
            "torso",
            "action_units",
            "valence_arousal",
            "speech",
        ),
        checkpoint=f"{SUBJECT}/avatars/{{method}}/avatar.safetensors",
        driving=lambda wildcards: driving_sounds(wildcards.scenario),
    output:
        render=f"{SUBJECT}/renders/{{method}}/{{scenario}}.mkv",
        render_table=f"{SUBJECT}/renders/{{method}}/{{scenario}}.csv",
    log:
        f"{SUBJECT}/logs/render_scenario_{{method}}_{{scenario}}.log",
    conda:
        ENV
    threads: CONFIG["threads"]["render"]
    resources:
        mem_mb=memory(2000),
    params:
        settings=settings("render"),
        seed=SEED,
        device=DEVICE,
        code=code_version("serving.stage"),
    script:
        "../workflow_scripts/render_scenario.py"


rule score_method:
    input:
        **artifacts(
            "manifest",
            "video",
            "track",
            "regions",
            "action_units",
            "valence_arousal",
            "audio",
        ),
        renders=[f"{SUBJECT}/renders/{{method}}/{s}.mkv" for s in SCENARIOS],
        render_tables=[f"{SUBJECT}/renders/{{method}}/{s}.csv" for s in SCENARIOS],
        driving=driving_sounds("cross_audio"),
        emotion_audio=driving_sounds("emotion")[0],
    output:
        scores=f"{SUBJECT}/scores/{{method}}.csv",
    log:
        f"{SUBJECT}/logs/score_method_{{method}}.log",
    conda:
        ENV
    threads: 1
    resources:
        mem_mb=memory(2000),
    params:
        settings=settings("evaluation"),
        seed=SEED,
        code=code_version("evaluation.stage"),
    script:
        "../workflow_scripts/score_method.py"


rule score_baselines:
    input:
        **artifacts(
            "manifest",
            "video",
            "track",
            "regions",
            "action_units",
            "valence_arousal",
            "audio",
        ),
    output:
        scores=f"{SUBJECT}/scores/baselines.csv",
    log:
        f"{SUBJECT}/logs/score_baselines.log",
    conda:
        ENV
    threads: 1
    resources:
        mem_mb=memory(2000),
    params:
        settings=settings("evaluation"),
        seed=SEED,
        code=code_version("evaluation.stage"),
    script:
        "../workflow_scripts/score_baselines.py"


rule collect_metrics:
    input:
        scores=[
            *[f"{SUBJECT}/scores/{m}.csv" for m in METHODS],
            f"{SUBJECT}/scores/baselines.csv",
        ],
    output:
        **artifacts("metrics"),
    log:
        f"{SUBJECT}/logs/collect_metrics.log",
    conda:
        ENV
    threads: 1
    resources:
        mem_mb=memory(500),
    params:
        code=code_version("evaluation.stage"),
    script:
        "../workflow_scripts/collect_metrics.py"
