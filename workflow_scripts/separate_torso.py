"""Rule separate_torso: everything behind the head, and the clean plate."""

from _stage import stage

with stage(snakemake) as job:
    from emotalk_core.perception.torso.stage import TorsoSettings, separate_torso

    separate_torso(
        **job.paths("manifest", "video", "track", "regions", "alpha", "torso", "background"),
        settings=job.settings(TorsoSettings),
        threads=job.threads,
    )
