"""Rule synthesize_sentence: one sentence of the list as 16 kHz sound."""

from _stage import stage

with stage(snakemake) as job:
    from emotalk_core.speech.synthesis.stage import SynthesisSettings, synthesize_sentence

    synthesize_sentence(
        wav=job.output("wav"),
        index=int(job.wildcards["index"]),
        settings=job.settings(SynthesisSettings),
    )
