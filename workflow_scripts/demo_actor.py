"""Rule demo_actor: a video of the synthetic actor."""

from _stage import stage

with stage(snakemake) as job:
    from emotalk_core.actor.stage import ActorSettings, make_actor_video

    make_actor_video(
        video=job.output("video"), settings=job.settings(ActorSettings), threads=job.threads
    )
