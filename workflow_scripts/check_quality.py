"""Rule check_quality: frame counts agree, per-frame checks, contact sheet."""

from _stage import stage

with stage(snakemake) as job:
    from emotalk_core.evaluation.quality.stage import QualitySettings, check_quality

    check_quality(
        **job.paths(
            "manifest",
            "video",
            "audio",
            "track",
            "regions",
            "alpha",
            "torso",
            "normals",
            "action_units",
            "valence_arousal",
            "speech",
            "quality_json",
            "quality_png",
        ),
        settings=job.settings(QualitySettings),
        chosen=job.params.weights,
        generator=job.params.generator,
    )
