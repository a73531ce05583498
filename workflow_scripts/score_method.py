"""Rule score_method: every metric of the three renders of one method."""

from _stage import stage

with stage(snakemake) as job:
    from emotalk_core.evaluation.settings import EvaluationSettings
    from emotalk_core.evaluation.stage import score_method

    pairs = zip(job.inputs("renders"), job.inputs("render_tables"))
    score_method(
        subject=job.wildcards["subject"],
        method=job.wildcards["method"],
        **job.paths("manifest", "video", "regions", "track", "action_units"),
        **job.paths("valence_arousal", "audio", "scores", "terms"),
        renders={frames.stem: (frames, table) for frames, table in pairs},
        clip_audio={path.stem: path for path in job.inputs("driving")},
        emotion_audio=job.input("emotion_audio"),
        settings=job.settings(EvaluationSettings),
        seed=job.params.seed,
        threads=job.threads,
    )
