"""Rule weights: optional weight files from their publishers, as far as you accept the licence."""

from _stage import stage

with stage(snakemake) as job:
    from emotalk_core.media.downloads import fetch_weights

    fetch_weights(job.params.used, job.params.accepted)
