"""Rule read_emotion: valence, arousal and class posterior per frame."""

from _stage import stage

with stage(snakemake) as job:
    from emotalk_core.perception.emotion.stage import EmotionReaderSettings, read_emotion

    read_emotion(
        **job.paths("manifest", "video", "track", "valence_arousal"),
        settings=job.settings(EmotionReaderSettings),
        threads=job.threads,
    )
