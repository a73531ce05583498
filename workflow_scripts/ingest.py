"""Rule ingest: crop, 25 fps, sound, offset, split."""

from _stage import stage

with stage(snakemake) as job:
    from emotalk_core.perception.ingest.stage import IngestSettings, ingest_video

    ingest_video(
        source=job.input("source"),
        subject=job.wildcards["subject"],
        **job.paths("manifest", "video", "audio"),
        settings=job.settings(IngestSettings),
        seed=job.params.seed,
        threads=job.threads,
    )
