"""Rule measure_action_units: the 17 intensities per frame."""

from _stage import stage

with stage(snakemake) as job:
    from emotalk_core.perception.action_units.stage import ActionUnitSettings, measure_action_units

    measure_action_units(
        **job.paths("manifest", "video", "track", "action_units"),
        settings=job.settings(ActionUnitSettings),
    )
