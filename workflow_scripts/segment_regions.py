"""Rule segment_regions: label map and soft head alpha."""

from _stage import stage

with stage(snakemake) as job:
    from emotalk_core.perception.regions.stage import RegionSettings, segment_regions

    segment_regions(
        **job.paths("manifest", "video", "track", "regions", "alpha"),
        settings=job.settings(RegionSettings),
        threads=job.threads,
    )
