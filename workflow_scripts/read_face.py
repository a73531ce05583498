"""Rule read_face: 17 action units, and valence, arousal and class posterior, of every frame."""

from _stage import stage

with stage(snakemake) as job:
    from emotalk_core.perception.action_units.stage import ActionUnitSettings, measure_action_units
    from emotalk_core.perception.emotion.stage import EmotionReaderSettings, read_emotion

    measure_action_units(
        **job.paths("manifest", "video", "track", "action_units"),
        settings=job.settings(ActionUnitSettings, "action_units"),
    )
    read_emotion(
        **job.paths("manifest", "video", "track", "valence_arousal"),
        settings=job.settings(EmotionReaderSettings, "emotion"),
        threads=job.threads,
    )
