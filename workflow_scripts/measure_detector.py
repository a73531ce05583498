"""Rule measure_detector: the packaged model of a landmark detector, from rendered people."""

from _stage import stage

with stage(snakemake) as job:
    from emotalk_core.perception.tracking.measure_detector import measure_detector

    measure_detector(detector=job.wildcards["detector"], output=job.output("model"))
