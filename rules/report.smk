"""The page that people look at."""


rule write_report:
    input:
        **artifacts(
            "manifest",
            "metrics",
            "quality_json",
            "quality_png",
            "video",
            "track",
            "torso",
        ),
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
