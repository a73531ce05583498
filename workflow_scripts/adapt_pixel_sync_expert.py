"""Rule adapt_pixel_sync_expert: the subject's pixel expert, for the sync loss by pixels."""

from _stage import stage

with stage(snakemake) as job:
    from emotalk_core.training.pixel_sync_expert import adapt_pixel_sync_expert
    from emotalk_core.training.sync_expert import SyncSettings

    adapt_pixel_sync_expert(
        **job.paths("manifest", "video", "regions", "track", "cameras", "audio", "sync_expert"),
        expert=job.output("pixel_sync_expert"),
        settings=job.settings(SyncSettings),
        seed=job.params.seed,
        threads=job.threads,
    )
