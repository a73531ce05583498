"""Renders of the three scenarios, their scores, and the subject's metrics.csv with the trivial rows.

One job renders and one scores all scenarios of a method: a plan over a thousand subjects stays quick.
"""


rule render_scenarios:
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
        driving=driving_sounds("cross_audio"),
        emotion_audio=driving_sounds("emotion")[0],
    output:
        renders=[f"{SUBJECT}/renders/{{method}}/{s}.mkv" for s in SCENARIOS],
        render_tables=[f"{SUBJECT}/renders/{{method}}/{s}.csv" for s in SCENARIOS],
        speed=f"{SUBJECT}/benchmarks/speed_{{method}}.csv",
    log:
        f"{SUBJECT}/logs/render_scenarios_{{method}}.log",
    conda:
        ENV_SPEECH
    threads: CONFIG["threads"]["render"]
    resources:
        mem_mb=memory(2000),
    params:
        settings=settings("render"),
        weights=weights("speech"),
        seed=SEED,
        device=DEVICE,
        code=code_version("serving.stage"),
    script:
        "../workflow_scripts/render_scenarios.py"


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
        terms=f"{SUBJECT}/scores/{{method}}.npz",
    log:
        f"{SUBJECT}/logs/score_method_{{method}}.log",
    conda:
        ENV
    threads: 1
    resources:
        mem_mb=memory(2000),
    params:
        settings=settings("evaluation"),
        weights=weights("evaluation"),
        seed=SEED,
        code=code_version("evaluation.stage"),
    script:
        "../workflow_scripts/score_method.py"


rule collect_metrics:
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
        scores=[f"{SUBJECT}/scores/{m}.csv" for m in METHODS],
        # No table without a look at the clip; its content changes no number
        quality=ancient(f"{SUBJECT}/{FILES['quality_json']}"),
    output:
        **artifacts("metrics"),
        baselines_terms=f"{SUBJECT}/scores/baselines.npz",
    log:
        f"{SUBJECT}/logs/collect_metrics.log",
    conda:
        ENV
    threads: 1
    resources:
        mem_mb=memory(2000),
    params:
        settings=settings("evaluation"),
        weights=weights("evaluation"),
        seed=SEED,
        code=code_version("evaluation.stage"),
    script:
        "../workflow_scripts/collect_metrics.py"


rule write_tables:
    input:
        metrics=[f"results/{name}/metrics.csv" for name in present_subjects()],
        speeds=[
            f"results/{name}/benchmarks/speed_{method}.csv"
            for name in present_subjects()
            for method in METHODS
        ],
    output:
        tables=[f"results/tables/{name}" for name in TABLE_FILES],
    log:
        "results/tables/logs/write_tables.log",
    conda:
        ENV
    threads: 1
    resources:
        mem_mb=memory(500),
    params:
        code=code_version("evaluation.tables.stage"),
    script:
        "../workflow_scripts/write_tables.py"
