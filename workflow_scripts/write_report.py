"""Rule write_report: one page that opens offline, and one picture."""

from _stage import stage

with stage(snakemake) as job:
    from emotalk_core.evaluation.report.inputs import RenderFiles, ReportSettings, SubjectFiles
    from emotalk_core.evaluation.report.stage import write_report

    renders: dict[str, dict[str, RenderFiles]] = {}
    for frames, table in zip(job.inputs("renders"), job.inputs("render_tables")):
        renders.setdefault(frames.parent.name, {})[frames.stem] = RenderFiles(frames, table)
    checkpoints = {path.parent.name: path for path in job.inputs("checkpoints")}
    logs = job.input("manifest").parent / "logs"
    files = SubjectFiles(
        **job.paths("manifest", "video", "audio", "metrics", "quality_json", "quality_png"),
        renders=renders,
        checkpoints=checkpoints,
        cameras=job.input("cameras"),
        logs=logs,
        speeds=job.inputs("speeds"),
        terms=job.inputs("terms"),
        clip_audio={path.stem: path for path in job.inputs("driving")},
        emotion_audio=job.input("emotion_audio"),
        training_logs={
            f"{method} {name}": logs / f"train_{name}_{method}.log"
            for method in renders
            for name in ("mouth", "face", "emotion", "avatar")
        },
    )
    subject = job.wildcards["subject"]
    write_report(
        subjects=[subject],
        files={subject: files},
        report=job.output("report"),
        picture=job.output("picture"),
        settings=job.settings(ReportSettings),
    )
