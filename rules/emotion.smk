"""Emotional training images of a person who never acted emotions, the lips kept."""


rule make_emotion_bank:
    input:
        **artifacts("manifest", "video", "track", "regions", "normals"),
    output:
        **artifacts("bank_frames", "bank_regions", "bank_normals", "bank_index"),
    log:
        f"{SUBJECT}/logs/make_emotion_bank.log",
    conda:
        ENV
    threads: 1
    resources:
        mem_mb=memory(2000),
    params:
        settings=settings("emotion_bank"),
        seed=SEED,
        code=code_version("emotion.stage"),
    script:
        "../workflow_scripts/make_emotion_bank.py"
