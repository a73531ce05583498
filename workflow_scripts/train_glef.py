"""Rule train_glef: the lip-aligned emotional face generator of a subject."""

from _stage import stage

with stage(snakemake) as job:
    from emotalk_core.emotion.glef.settings import GlefSettings
    from emotalk_core.training.glef_stage import train_glef

    output = job.output("checkpoint")
    train_glef(
        **job.paths("manifest", "video", "track", "curves"),
        output=output,
        state=output.with_name("state.safetensors"),
        settings=job.settings(GlefSettings),
        seed=job.params.seed,
        threads=job.threads,
        device=job.device(),
    )
