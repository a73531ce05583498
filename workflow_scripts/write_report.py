"""Rule write_report: one page that opens offline, and one picture."""

from _stage import stage

with stage(snakemake) as job:
    from emotalk_core.evaluation.report.stage import ReportSettings, write_report

    write_report(
        **job.paths(
            "manifest",
            "video",
            "metrics",
            "quality_json",
            "quality_png",
            "report",
            "picture",
        ),
        settings=job.settings(ReportSettings),
    )
