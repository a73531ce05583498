"""Rule score_scenario: every metric of one render."""

from _stage import stage

with stage(snakemake) as job:
    from emotalk_core.evaluation.settings import EvaluationSettings
    from emotalk_core.evaluation.stage import score_scenario

    score_scenario(
        **{k: job.wildcards[k] for k in ("subject", "method", "scenario")},
        **job.paths("manifest", "video", "regions", "track", "action_units"),
        **job.paths("valence_arousal", "audio", "render", "render_table", "scores"),
        clip_audio={path.stem: path for path in job.inputs("driving")},
        settings=job.settings(EvaluationSettings),
        seed=job.params.seed,
        threads=job.threads,
    )
