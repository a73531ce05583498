"""Rules train_mouth, train_face, train_emotion, train_avatar: one stage of an avatar."""

from _stage import stage

CLIP = (
    *("manifest", "video", "track", "cameras", "regions", "alpha", "normals", "torso"),
    *("action_units", "valence_arousal", "speech"),
)
EARLIER = {"emotion": ("mouth", "face"), "avatar": ("mouth", "face", "emotion")}
BANK = ("frames", "regions", "normals", "landmarks", "index")
WITH_SYNC = ("face", "emotion")

with stage(snakemake) as job:
    from emotalk_core.training.prepare import SyncPaths
    from emotalk_core.training.settings import SyncLossSettings, TrainingSettings
    from emotalk_core.training.stage import train_stage

    name = job.params.stage
    output = job.output("checkpoint")
    subject, sync = job.wildcards["subject"], None
    if name in WITH_SYNC:
        sounds = tuple(job.inputs("sync_sounds"))
        by_pixels = next(iter(job.inputs("pixel_sync_expert")), None)
        by = job.settings(SyncLossSettings, "sync_loss").expert
        sync = SyncPaths(job.input("sync_expert"), job.input("audio"), sounds, by, by_pixels)
    train_stage(
        stage=name,
        method=job.wildcards["method"],
        **job.paths(*CLIP),
        bank={k: job.input(f"bank_{k}") for k in BANK} if name == "emotion" else None,
        previous={k: job.input(k) for k in EARLIER.get(name, ())},
        output=output,
        state=output.with_name(f"{name}.state.safetensors"),
        settings=job.settings(TrainingSettings),
        seed=job.params.seed,
        threads=job.threads,
        device=job.device(),
        sync=sync,
        # Beside the subjects: curves of several people and methods are looked at together
        log_folder=output.parents[3] / "common/tensorboard" / subject / output.parent.name / name,
    )
