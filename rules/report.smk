"""The page that people look at."""


rule write_report:
    input:
        **artifacts(
            "manifest",
            "video",
            "audio",
            "cameras",
            "metrics",
            "quality_json",
            "quality_png",
        ),
        checkpoints=[f"{SUBJECT}/avatars/{m}/avatar.safetensors" for m in METHODS],
        renders=[f"{SUBJECT}/renders/{m}/{s}.mkv" for m in METHODS for s in SCENARIOS],
        render_tables=[
            f"{SUBJECT}/renders/{m}/{s}.csv" for m in METHODS for s in SCENARIOS
        ],
        speeds=[f"{SUBJECT}/benchmarks/speed_{m}.csv" for m in METHODS],
        terms=[f"{SUBJECT}/scores/{m}.npz" for m in (*METHODS, "baselines")],
        driving=driving_sounds("cross_audio"),
        emotion_audio=driving_sounds("emotion")[0],
    output:
        report=f"{SUBJECT}/report.html",
        picture=f"{SUBJECT}/report.png",
    log:
        f"{SUBJECT}/logs/write_report.log",
    conda:
        ENV
    threads: 1
    resources:
        mem_mb=memory(2000),
    params:
        settings=settings("report"),
        code=code_version("evaluation.report.stage"),
    script:
        "../workflow_scripts/write_report.py"
