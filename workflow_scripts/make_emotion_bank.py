"""Rule make_emotion_bank: seeded emotional images with the lips kept."""

from _stage import stage

with stage(snakemake) as job:
    from emotalk_core.emotion.stage import BankSettings, make_bank

    make_bank(
        **job.paths(
            "manifest",
            "video",
            "track",
            "regions",
            "normals",
            "bank_frames",
            "bank_regions",
            "bank_normals",
            "bank_landmarks",
            "bank_index",
        ),
        settings=job.settings(BankSettings),
        seed=job.params.seed,
        threads=job.threads,
        checkpoint=next(iter(job.inputs("checkpoint")), None),
    )
