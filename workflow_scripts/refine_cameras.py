"""Rule refine_cameras: poses that line up the head's own picture over the clip."""

from _stage import stage

with stage(snakemake) as job:
    from emotalk_core.training.poses.stage import PoseSettings, refine_cameras

    refine_cameras(
        **job.paths("manifest", "video", "track", "tracked_cameras", "alpha", "torso", "cameras"),
        settings=job.settings(PoseSettings),
        seed=job.params.seed,
        threads=job.threads,
    )
