"""EmoTalk: from one person's video to an emotional 3D Gaussian talking head and its metric tables."""

from snakemake.utils import min_version

min_version("9.0")


configfile: "config.yaml"


include: "rules/common.smk"
include: "rules/ingest.smk"
include: "rules/perception.smk"
include: "rules/speech.smk"
include: "rules/emotion.smk"
include: "rules/training.smk"
include: "rules/evaluation.smk"
include: "rules/report.smk"
include: "rules/weights.smk"
include: "rules/models.smk"


localrules:
    all,
    synthesize_all_sentences,
    write_tables,
    weights,


rule all:
    default_target: True
    input:
        [f"results/{name}/metrics.csv" for name in present_subjects()],
        f"results/tables/{TABLE_FILES[0]}" if present_subjects() else [],
