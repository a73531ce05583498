"""What is seen: head tracking, regions, normals, what lies behind the head, action units, emotion, quality."""


rule track_head:
    input:
        **artifacts("manifest", "video"),
    output:
        **artifacts("track", "tracked_cameras"),
    log:
        f"{SUBJECT}/logs/track_head.log",
    conda:
        ENV
    threads: 1
    resources:
        mem_mb=memory(2000),
    params:
        settings=settings("tracking"),
        seed=SEED,
        weights=weights("tracking"),
        code=code_version("perception.tracking.stage"),
    script:
        "../workflow_scripts/track_head.py"


rule segment_regions:
    input:
        **artifacts("manifest", "video", "track"),
    output:
        **artifacts("regions", "alpha"),
    log:
        f"{SUBJECT}/logs/segment_regions.log",
    conda:
        ENV
    threads: CONFIG["threads"]["perception"]
    resources:
        mem_mb=memory(2000),
    params:
        settings=settings("regions"),
        weights=weights("regions"),
        code=code_version("perception.regions.stage"),
    script:
        "../workflow_scripts/segment_regions.py"


rule estimate_normals:
    input:
        **artifacts("manifest", "video", "track", "cameras", "regions"),
        onnx=users_file("normals", "onnx", CONFIG["normals"]["method"] == "onnx"),
    output:
        **artifacts("normals"),
    log:
        f"{SUBJECT}/logs/estimate_normals.log",
    conda:
        ENV
    threads: CONFIG["threads"]["perception"]
    resources:
        mem_mb=memory(2000),
    params:
        settings=settings("normals"),
        weights=weights("normals"),
        code=code_version("perception.normals.stage"),
    script:
        "../workflow_scripts/estimate_normals.py"


rule separate_torso:
    input:
        **artifacts("manifest", "video", "track", "regions", "alpha"),
    output:
        **artifacts("torso", "background"),
    log:
        f"{SUBJECT}/logs/separate_torso.log",
    conda:
        ENV
    threads: CONFIG["threads"]["perception"]
    resources:
        mem_mb=memory(2000),
    params:
        settings=settings("torso"),
        code=code_version("perception.torso.stage"),
    script:
        "../workflow_scripts/separate_torso.py"


rule refine_cameras:
    input:
        **artifacts("manifest", "video", "track", "tracked_cameras", "alpha", "torso"),
    output:
        **artifacts("cameras"),
    log:
        f"{SUBJECT}/logs/refine_cameras.log",
    conda:
        ENV
    threads: 1
    resources:
        mem_mb=memory(2000),
    params:
        settings=settings("poses"),
        seed=SEED,
        code=code_version("training.poses.stage"),
    script:
        "../workflow_scripts/refine_cameras.py"


rule read_face:
    input:
        **artifacts("manifest", "video", "track"),
        openface_csv=users_file("action_units", "openface_csv"),
    output:
        **artifacts("action_units", "valence_arousal"),
    log:
        f"{SUBJECT}/logs/read_face.log",
    conda:
        ENV
    threads: 1
    resources:
        mem_mb=memory(2000),
    params:
        action_units=settings("action_units"),
        action_units_code=code_version("perception.action_units.stage"),
        emotion=settings("emotion_reader"),
        weights=weights("action_units", "emotion_reader"),
        emotion_code=code_version("perception.emotion.stage"),
    script:
        "../workflow_scripts/read_face.py"


# Before training, so that a clip that is refused costs minutes and not an hour.
rule check_quality:
    input:
        **artifacts(
            "manifest",
            "video",
            "audio",
            "track",
            "regions",
            "alpha",
            "normals",
            "torso",
            "action_units",
            "valence_arousal",
            "speech",
        ),
    output:
        **artifacts("quality_json", "quality_png"),
    log:
        f"{SUBJECT}/logs/check_quality.log",
    priority: 10
    conda:
        ENV
    threads: 1
    resources:
        mem_mb=memory(2000),
    params:
        settings=settings("quality"),
        weights=weights("regions", "normals", "emotion_reader", "speech", "sync_loss"),
        generator=CONFIG["emotion_bank"]["generator"],
        code=code_version("evaluation.quality.stage"),
    script:
        "../workflow_scripts/check_quality.py"
