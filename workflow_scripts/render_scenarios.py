"""Rule render_scenarios: lossless frames of every scenario, with the conditions behind them."""

from _stage import stage

with stage(snakemake) as job:
    from emotalk_core.serving.stage import RenderSettings, render_scenario, write_speeds

    sounds = {
        "cross_audio": job.inputs("driving"),
        "emotion": job.inputs("emotion_audio"),
    }
    speeds = [
        render_scenario(
            scenario=render.stem,
            method=job.wildcards["method"],
            **job.paths("manifest", "track", "cameras", "torso", "action_units"),
            **job.paths("valence_arousal", "speech", "checkpoint"),
            driving=sounds.get(render.stem, []),
            render=render,
            render_table=table,
            settings=job.settings(RenderSettings),
            seed=job.params.seed,
            threads=job.threads,
            device=job.device(),
        )
        for render, table in zip(job.outputs("renders"), job.outputs("render_tables"))
    ]
    write_speeds(job.output("speed"), speeds)
