"""Rule measure_skin: how far the skin's seen motion errs, from rendered people."""

from _stage import stage

with stage(snakemake) as job:
    from emotalk_core.perception.tracking.measure_skin import measure_skin

    measure_skin(output=job.output("weights"))
