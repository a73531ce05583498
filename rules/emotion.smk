"""Emotional training images of a person who never acted emotions, the lips kept."""

GLEF = f"{SUBJECT}/glef/generator.safetensors"
# A trained generator is an input of the bank only where the configuration chooses it.
TRAINED = {"checkpoint": GLEF} if CONFIG["emotion_bank"]["generator"] == "glef" else {}


rule train_glef:
    input:
        **artifacts("manifest", "video", "track"),
    output:
        checkpoint=GLEF,
        curves=f"{SUBJECT}/glef/curves.csv",
    log:
        f"{SUBJECT}/logs/train_glef.log",
    conda:
        ENV
    threads: CONFIG["threads"]["glef"]
    resources:
        # 5 GB measured at 1024 px with one frame a step; batches are larger
        mem_mb=memory(16000 if CONFIG["glef"]["networks"] == "published" else 4000),
    params:
        settings=settings("glef"),
        weights=weights("glef"),
        seed=SEED,
        device=DEVICE,
        code=code_version("training.glef_stage"),
    script:
        "../workflow_scripts/train_glef.py"


rule train_tiny_glef:
    output:
        networks="results/common/glef/tiny.safetensors",
    log:
        "results/common/logs/train_tiny_glef.log",
    conda:
        ENV
    threads: CONFIG["threads"]["glef"]
    resources:
        mem_mb=memory(2000),
    params:
        seed=0,
        code=code_version("emotion.glef.tiny_training"),
    script:
        "../workflow_scripts/train_tiny_glef.py"


rule make_emotion_bank:
    input:
        **artifacts("manifest", "video", "track", "regions", "normals"),
        **TRAINED,
    output:
        **artifacts(
            "bank_frames",
            "bank_regions",
            "bank_normals",
            "bank_landmarks",
            "bank_index",
        ),
    log:
        f"{SUBJECT}/logs/make_emotion_bank.log",
    conda:
        ENV
    threads: 1
    resources:
        mem_mb=memory(2000),
    params:
        settings=settings("emotion_bank"),
        weights=weights("glef") if TRAINED else "",
        seed=SEED,
        code=code_version("emotion.stage"),
    script:
        "../workflow_scripts/make_emotion_bank.py"
