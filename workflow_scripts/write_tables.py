"""Rule write_tables: the paper's tables over all subjects, as CSV, Markdown and TeX."""

from _stage import stage

with stage(snakemake) as job:
    from emotalk_core.evaluation.tables.stage import write_tables

    write_tables(
        metrics=job.inputs("metrics"),
        speeds=job.inputs("speeds"),
        tables=job.outputs("tables"),
    )
