"""Video in: the synthetic actor's clip, head-centred crop at 25 fps, sound at 16 kHz, offset, split."""


rule demo_actor:
    output:
        video="results/common/actor/{subject}.mp4",
    log:
        "results/common/logs/demo_actor_{subject}.log",
    conda:
        ENV
    threads: 1
    resources:
        mem_mb=memory(2000),
    params:
        settings=lambda wildcards: settings("subjects", wildcards.subject, "actor"),
        code=code_version("actor.stage"),
    script:
        "../workflow_scripts/demo_actor.py"


rule ingest:
    input:
        source=subject_source,
    output:
        manifest=f"{SUBJECT}/manifest.json",
        video=f"{SUBJECT}/video.mkv",
        audio=f"{SUBJECT}/audio.wav",
    log:
        f"{SUBJECT}/logs/ingest.log",
    conda:
        ENV
    threads: 1
    resources:
        mem_mb=memory(2000),
    params:
        settings=settings("ingest"),
        seed=SEED,
        code=code_version("perception.ingest.stage"),
    script:
        "../workflow_scripts/ingest.py"
