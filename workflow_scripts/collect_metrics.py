"""Rule collect_metrics: the trivial rows beside every method's scores in one tidy table."""

import tempfile
from pathlib import Path

from _stage import stage

with stage(snakemake) as job:
    from emotalk_core.evaluation.settings import EvaluationSettings
    from emotalk_core.evaluation.stage import collect_metrics, score_baselines

    with tempfile.TemporaryDirectory() as folder:
        baselines = Path(folder) / "baselines.csv"
        score_baselines(
            subject=job.wildcards["subject"],
            **job.paths("manifest", "video", "regions", "track", "action_units"),
            **job.paths("valence_arousal", "audio"),
            scores=baselines,
            terms=job.output("baselines_terms"),
            settings=job.settings(EvaluationSettings),
            seed=job.params.seed,
            threads=job.threads,
        )
        collect_metrics(
            subject=job.wildcards["subject"],
            scores=[*job.inputs("scores"), baselines],
            metrics=job.output("metrics"),
        )
