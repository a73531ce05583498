"""Rule collect_metrics: all score rows of a subject in one tidy table."""

from _stage import stage

with stage(snakemake) as job:
    from emotalk_core.evaluation.stage import collect_metrics

    collect_metrics(
        subject=job.wildcards["subject"], scores=job.inputs("scores"), metrics=job.output("metrics")
    )
