"""Rule synthesize_sentence: one of the ten sentences of the paper as 16 kHz sound."""

from _stage import stage

with stage(snakemake) as job:
    from emotalk_core.speech.synthesis.stage import SynthesisSettings, synthesize_sentence

    synthesize_sentence(
        wav=job.output("wav"),
        index=int(job.wildcards["index"]),
        settings=job.settings(SynthesisSettings),
    )
