"""Rule render_lessons: pictures of random actors that teach the packaged networks."""

from _stage import stage

with stage(snakemake) as job:
    from emotalk_core.perception.parsing.teacher import write_lessons

    write_lessons(
        job.output("lessons"),
        seed=int(job.wildcards["part"]),
        identities=job.params.identities,
        frames=job.params.frames,
        size=job.params.size,
        window=job.params.window,
        glasses=job.params.glasses,
    )
