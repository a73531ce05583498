"""Rule measure_axes: the packaged reader of a head's axes, from rendered people."""

from _stage import stage

with stage(snakemake) as job:
    from emotalk_core.perception.tracking.measure_axes import measure_axes

    measure_axes(output=job.output("weights"))
