"""What is heard: speech features of the subject, and synthesized sentences that all subjects share."""


rule extract_speech_features:
    input:
        **artifacts("manifest", "audio"),
        features_npy=users_file("speech", "features_npy"),
    output:
        **artifacts("speech"),
    log:
        f"{SUBJECT}/logs/extract_speech_features.log",
    conda:
        ENV_SPEECH
    threads: 1
    resources:
        mem_mb=memory(2000),
    params:
        settings=settings("speech"),
        weights=weights("speech"),
        code=code_version("speech.stage"),
    script:
        "../workflow_scripts/extract_speech_features.py"


rule synthesize_sentence:
    input:
        voice=users_file("synthesis", "voice", CONFIG["synthesis"]["engine"] == "piper"),
    output:
        wav="results/common/speech/sentence_{index}.wav",
    log:
        "results/common/logs/synthesize_sentence_{index}.log",
    conda:
        ENV
    threads: 1
    resources:
        mem_mb=memory(2000),
    params:
        settings=settings("synthesis"),
        code=code_version("speech.synthesis.stage"),
    script:
        "../workflow_scripts/synthesize_sentence.py"


rule synthesize_all_sentences:
    input:
        expand("results/common/speech/sentence_{index:02d}.wav", index=range(1, 71)),


rule train_sync_experts:
    output:
        logmel="results/common/models/general_logmel.safetensors",
        embedding="results/common/models/general_embedding.safetensors",
    log:
        "results/common/logs/train_sync_experts.log",
    conda:
        ENV
    threads: 1
    resources:
        mem_mb=memory(2000),
    params:
        seed=SEED,
        code=code_version("actor.sync_experts"),
    script:
        "../workflow_scripts/train_sync_experts.py"
