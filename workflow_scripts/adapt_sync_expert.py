"""Rule adapt_sync_expert: the subject's own lip-sync expert."""

from _stage import stage

with stage(snakemake) as job:
    from emotalk_core.training.sync_expert import SyncSettings, adapt_sync_expert

    adapt_sync_expert(
        **job.paths("manifest", "track", "cameras", "audio"),
        expert=job.output("sync_expert"),
        settings=job.settings(SyncSettings),
        seed=job.params.seed,
        threads=job.threads,
    )
