"""Rule train_parser: one packaged network from lessons."""

from _stage import stage

with stage(snakemake) as job:
    from emotalk_core.perception.parsing.train import train_network

    train_network(
        lessons=job.inputs("lessons"),
        weights=job.output("weights"),
        task=job.wildcards["task"],
        steps=job.params.steps,
        batch=job.params.batch,
        seed=job.params.seed,
        threads=job.threads,
    )
