"""Rule score_baselines: the rows ground_truth, chance, mean_frame and nearest_pose."""

from _stage import stage

with stage(snakemake) as job:
    from emotalk_core.evaluation.settings import EvaluationSettings
    from emotalk_core.evaluation.stage import score_baselines

    score_baselines(
        subject=job.wildcards["subject"],
        **job.paths("manifest", "video", "regions", "track", "action_units"),
        **job.paths("valence_arousal", "audio", "scores"),
        settings=job.settings(EvaluationSettings),
        seed=job.params.seed,
        threads=job.threads,
    )
