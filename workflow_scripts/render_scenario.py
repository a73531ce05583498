"""Rule render_scenario: lossless frames of one scenario and the conditions that produced them."""

from _stage import stage

with stage(snakemake) as job:
    from emotalk_core.serving.stage import RenderSettings, render_scenario

    render_scenario(
        scenario=job.wildcards["scenario"],
        method=job.wildcards["method"],
        **job.paths("manifest", "track", "cameras", "torso", "action_units"),
        **job.paths("valence_arousal", "speech", "checkpoint", "render", "render_table"),
        driving=job.inputs("driving"),
        settings=job.settings(RenderSettings),
        seed=job.params.seed,
        threads=job.threads,
        device=job.device(),
    )
