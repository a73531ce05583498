"""Rule track_head: landmarks, expression coefficients, cameras."""

from _stage import stage

with stage(snakemake) as job:
    from emotalk_core.perception.tracking.stage import TrackingSettings, track_head

    track_head(
        **job.paths("manifest", "video", "track"),
        cameras=job.output("tracked_cameras"),
        settings=job.settings(TrackingSettings),
        seed=job.params.seed,
        threads=job.threads,
    )
