"""Rule train_sync_experts: the packaged sync experts, from synthetic persons alone."""

from _stage import stage

with stage(snakemake) as job:
    from emotalk_core.actor.sync_experts import GeneralTraining, train_sync_experts

    train_sync_experts(
        experts={sound: job.output(sound) for sound in ("logmel", "embedding")},
        settings=GeneralTraining(),
        seed=job.params.seed,
        threads=job.threads,
    )
