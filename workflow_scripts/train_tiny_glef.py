"""Rule train_tiny_glef: the packaged tiny networks that g_LEF starts from, trained anew."""

from _stage import stage

with stage(snakemake) as job:
    from emotalk_core.emotion.glef.tiny_training import TinyBudget, train_tiny_networks

    train_tiny_networks(
        output=job.output("networks"),
        budget=TinyBudget(),
        seed=job.params.seed,
        threads=job.threads,
    )
