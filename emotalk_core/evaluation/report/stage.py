"""Metrics, renders and quality of one or more subjects in, one offline page and one picture out."""

from __future__ import annotations

import logging
import os
import platform
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import cv2
import jinja2
import pandas as pd
import torch
from markupsafe import Markup

from emotalk_core.errors import ArtifactError
from emotalk_core.evaluation.drawing import encode, fit
from emotalk_core.evaluation.evaluators import known_evaluators, short_label
from emotalk_core.evaluation.report.inputs import ReportSettings, SubjectFiles
from emotalk_core.evaluation.report.paper import PAPER_TABLES
from emotalk_core.evaluation.report.subject_page import SubjectPage, build_page
from emotalk_core.evaluation.tables.build import paper_shaped_tables
from emotalk_core.media.atomic import atomic_path, write_text
from emotalk_core.perception.landmarks.packaged import FaceMeshLandmarks

logger = logging.getLogger(__name__)
TEMPLATE = "page.html"
PACKAGES = ("emotalk", "numpy", "torch", "mediapipe", "opencv-contrib-python", "av", "snakemake")
CONSENT = (
    "Every moving face on this page is synthetic: it was rendered from a model that was trained "
    "on one person's video. Make and share such pictures only with that person's consent, and "
    "keep this note with them."
)


def _processor() -> str:
    """The processor's name as Linux gives it, else as Python does."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in text.splitlines() if "model name" in line]
    return names[0] if names else platform.processor()


def _versions() -> list[tuple[str, str]]:
    """Machine and installed packages that the numbers depend on."""
    gigabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    found = [
        ("python", platform.python_version()),
        ("machine", f"{platform.system()} {platform.machine()}, {_processor()}"),
        ("cores, memory", f"{os.cpu_count()}, {gigabytes:.0f} GiB"),
        ("GPU", torch.cuda.get_device_name() if torch.cuda.is_available() else "none"),
    ]
    for name in PACKAGES:
        try:
            found.append((name, metadata.version(name)))
        except metadata.PackageNotFoundError:
            found.append((name, "not installed"))
    return found


def _environment() -> jinja2.Environment:
    loader = jinja2.FileSystemLoader(Path(__file__).parent)
    environment = jinja2.Environment(
        loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["svg"] = Markup
    return environment


def _all_numbers(pages: list[SubjectPage]) -> list[dict[str, Any]]:
    """Every row of every metrics.csv for the page's last, folded table."""
    joined = pd.concat([p.metrics for p in pages], ignore_index=True).fillna("")
    joined["evaluator"] = [short_label(label) for label in joined["evaluator"]]
    return [{str(k): v for k, v in row.items()} for row in joined.to_dict("records")]


def write_report(
    *,
    subjects: list[str],
    files: Mapping[str, SubjectFiles],
    report: Path,
    picture: Path,
    settings: ReportSettings,
) -> None:
    """Write the page of some subjects, and the sheet of the first one as a PNG.

    Args:
        subjects: names in the order of the page.
        files: the artifacts of each subject.
        report: the page; it opens offline, nothing is loaded from anywhere.
        picture: 12 emotions around the circle beside truth and render (README picture).
        settings: sizes and lengths.

    Raises:
        ArtifactError: a subject has no files, or one of them is broken.
    """
    missing = [s for s in subjects if s not in files]
    if missing or not subjects:
        raise ArtifactError(
            f"{report}: no files for subjects {missing}; give SubjectFiles for each"
        )
    report.parent.mkdir(parents=True, exist_ok=True)
    with FaceMeshLandmarks(static=True) as detector:
        pages = [build_page(s, files[s], detector, settings, report.parent) for s in subjects]
    metrics = pd.concat([p.metrics for p in pages], ignore_index=True)
    html = (
        _environment()
        .get_template(TEMPLATE)
        .render(
            title=", ".join(subjects),
            pages=pages,
            tables=list(paper_shaped_tables(metrics).values()),
            evaluators=known_evaluators(sorted({str(e) for e in metrics["evaluator"]})),
            paper_tables=PAPER_TABLES,
            versions=_versions(),
            consent=CONSENT,
            rows=_all_numbers(pages),
        )
    )
    _write_picture(picture, pages[0], files[subjects[0]])
    write_text(report, html)
    logger.info("%s: %.1f MB", report, len(html) / 1e6)


def _write_picture(path: Path, page: SubjectPage, files: SubjectFiles) -> None:
    """The README picture; without renders the quality sheet takes its place."""
    sheet = page.sheet
    if sheet is None:
        read = cv2.imread(str(files.quality_png), cv2.IMREAD_COLOR)
        if read is None:
            raise ArtifactError(f"{files.quality_png}: not readable; delete it and run again")
        sheet = fit(cv2.cvtColor(read, cv2.COLOR_BGR2RGB), 1200)
    with atomic_path(path) as temporary:
        temporary.write_bytes(encode(sheet))
