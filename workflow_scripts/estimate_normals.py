"""Rule estimate_normals: camera-space normals inside the face."""

from _stage import stage

with stage(snakemake) as job:
    from emotalk_core.perception.normals.stage import NormalSettings, estimate_normals

    estimate_normals(
        **job.paths("manifest", "video", "track", "cameras", "regions", "normals"),
        settings=job.settings(NormalSettings),
        threads=job.threads,
    )
