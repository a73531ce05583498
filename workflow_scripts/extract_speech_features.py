"""Rule extract_speech_features: audio features at 25 fps."""

from _stage import stage

with stage(snakemake) as job:
    from emotalk_core.speech.stage import SpeechSettings, extract_features

    extract_features(
        **job.paths("manifest", "audio", "speech"),
        settings=job.settings(SpeechSettings),
        threads=job.threads,
    )
