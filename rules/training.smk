"""Staged training: mouth and face side by side, then emotion, then the border fix (one loop, stages are data)."""


rule adapt_sync_expert:
    input:
        **artifacts("manifest", "track", "cameras", "audio"),
    output:
        **artifacts("sync_expert"),
    log:
        f"{SUBJECT}/logs/adapt_sync_expert.log",
    conda:
        ENV
    threads: 1
    resources:
        mem_mb=memory(1000),
    params:
        settings=settings("sync_expert"),
        seed=SEED,
        code=code_version("training.sync_expert"),
    script:
        "../workflow_scripts/adapt_sync_expert.py"


# The pixel expert is made only where the configuration chooses it.
PIXEL_EXPERT = f"{SUBJECT}/pixel_sync_expert.safetensors"
BY_PIXELS = (
    {"pixel_sync_expert": PIXEL_EXPERT}
    if CONFIG["sync_loss"]["expert"] == "pixels"
    else {}
)


rule adapt_pixel_sync_expert:
    input:
        **artifacts(
            "manifest", "video", "regions", "track", "cameras", "audio", "sync_expert"
        ),
    output:
        pixel_sync_expert=PIXEL_EXPERT,
    log:
        f"{SUBJECT}/logs/adapt_pixel_sync_expert.log",
    conda:
        ENV
    threads: 1
    resources:
        mem_mb=memory(1000),
    params:
        settings=settings("pixel_sync_expert"),
        seed=SEED,
        code=code_version("training.pixel_sync_expert"),
    script:
        "../workflow_scripts/adapt_pixel_sync_expert.py"


rule train_mouth:
    input:
        **artifacts(*CLIP),
    output:
        checkpoint=f"{SUBJECT}/avatars/{{method}}/mouth.safetensors",
    log:
        f"{SUBJECT}/logs/train_mouth_{{method}}.log",
    conda:
        ENV
    threads: CONFIG["threads"]["mouth"]
    resources:
        mem_mb=training_memory("mouth", 3000),
    params:
        settings=settings("training", "mouth"),
        stage="mouth",
        seed=SEED,
        device=DEVICE,
        code=code_version("training.stage"),
    script:
        "../workflow_scripts/train_stage.py"


rule train_face:
    input:
        **artifacts(*CLIP, "sync_expert", "audio"),
        **BY_PIXELS,
        sync_sounds=driving_sounds("training"),
    output:
        checkpoint=f"{SUBJECT}/avatars/{{method}}/face.safetensors",
    log:
        f"{SUBJECT}/logs/train_face_{{method}}.log",
    priority: 1  # the longest chain of a run goes through it
    conda:
        ENV_SPEECH  # features of the sounds that it trains on
    threads: CONFIG["threads"]["face"]
    resources:
        mem_mb=training_memory("face", 3000),
    params:
        settings=settings("training", "face"),
        sync_loss=settings("sync_loss"),
        weights=weights("sync_loss"),
        stage="face",
        seed=SEED,
        device=DEVICE,
        code=code_version("training.stage"),
    script:
        "../workflow_scripts/train_stage.py"


rule train_emotion:
    input:
        **artifacts(
            *CLIP,
            "bank_frames",
            "bank_regions",
            "bank_normals",
            "bank_landmarks",
            "bank_index",
        ),
        **artifacts("sync_expert", "audio"),
        **BY_PIXELS,
        sync_sounds=driving_sounds("training"),
        mouth=f"{SUBJECT}/avatars/{{method}}/mouth.safetensors",
        face=f"{SUBJECT}/avatars/{{method}}/face.safetensors",
    output:
        checkpoint=f"{SUBJECT}/avatars/{{method}}/emotion.safetensors",
    log:
        f"{SUBJECT}/logs/train_emotion_{{method}}.log",
    conda:
        ENV_SPEECH  # features of the sounds that it trains on
    threads: CONFIG["threads"]["emotion"]
    resources:
        mem_mb=training_memory("emotion", 4000),
    params:
        settings=settings("training", "emotion"),
        sync_loss=settings("sync_loss"),
        weights=weights("sync_loss"),
        stage="emotion",
        seed=SEED,
        device=DEVICE,
        code=code_version("training.stage"),
    script:
        "../workflow_scripts/train_stage.py"


rule train_avatar:
    input:
        **artifacts(*CLIP),
        mouth=f"{SUBJECT}/avatars/{{method}}/mouth.safetensors",
        face=f"{SUBJECT}/avatars/{{method}}/face.safetensors",
        emotion=f"{SUBJECT}/avatars/{{method}}/emotion.safetensors",
    output:
        checkpoint=f"{SUBJECT}/avatars/{{method}}/avatar.safetensors",
    log:
        f"{SUBJECT}/logs/train_avatar_{{method}}.log",
    conda:
        ENV
    threads: CONFIG["threads"]["avatar"]
    resources:
        mem_mb=training_memory("avatar", 3000),
    params:
        settings=settings("training", "avatar"),
        stage="avatar",
        seed=SEED,
        device=DEVICE,
        code=code_version("training.stage"),
    script:
        "../workflow_scripts/train_stage.py"
