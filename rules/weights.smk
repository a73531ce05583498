"""Optional weight files of others (docs/weights.md): `snakemake --cores 1 weights`."""


rule weights:
    log:
        "results/common/logs/weights.log",
    conda:
        ENV
    threads: 1
    resources:
        mem_mb=memory(500),
    params:
        used=chosen_weights(CONFIG),
        accepted=CONFIG["weights"]["accept"],
    script:
        "../workflow_scripts/fetch_weights.py"
