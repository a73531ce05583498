"""The page: everything inside one file, one evaluator a column, stand-ins marked, numbers right."""

from __future__ import annotations

import base64
import html.parser
import io
import math
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from emotalk_core.emotion.circle import evaluation_points
from emotalk_core.errors import ArtifactError
from emotalk_core.evaluation.baselines import chance_rows, points_table
from emotalk_core.evaluation.drawing import error_map, overlay_labels, spread
from emotalk_core.evaluation.frame_terms import FrameTerms, write_terms
from emotalk_core.evaluation.quality.checks import QualitySettings
from emotalk_core.evaluation.quality.stage import check_quality
from emotalk_core.evaluation.report.curves import matched, training_series
from emotalk_core.evaluation.report.inputs import RenderFiles, ReportSettings, SubjectFiles
from emotalk_core.evaluation.report.plots import Line, emotion_plane, line_chart
from emotalk_core.evaluation.report.stage import write_report
from emotalk_core.evaluation.report.stage_times import stage_times
from emotalk_core.evaluation.tables.build import (
    build_table,
    number,
    paper_shaped_tables,
    read_points,
)
from emotalk_core.media.tables import read_manifest, write_rows, write_table
from emotalk_core.types.metrics import METRIC_COLUMNS, SPEED_COLUMNS, MetricRow

from .conftest import N_FRAMES, N_TRAIN, TinySubject

SETTINGS = ReportSettings(video_side=64, max_seconds=1.0, tile=48, curve_frames=6)


def row(method: str, metric: str, value: float, **more: object) -> MetricRow:
    fields = {
        "subject": "tiny",
        "scenario": "self_reconstruction",
        "clip": "all",
        "n_frames": 10,
        "evaluator": "pixels-lossless-1",
        "reference": True,
        "frames_sha256": "a" * 64,
    }
    return MetricRow(method=method, metric=metric, value=value, **{**fields, **more})


def frame(rows: list[MetricRow]) -> pd.DataFrame:
    return pd.DataFrame([vars(r) for r in rows], columns=list(METRIC_COLUMNS))


def test_numbers_are_printed_for_reading() -> None:
    assert [number(v) for v in (31.417, 0.9449, -0.5, math.nan)] == [
        "31.42",
        "0.945",
        "\N{MINUS SIGN}0.500",
        "\N{EN DASH}",
    ]


def test_two_evaluators_never_share_a_column_and_chance_fits_both() -> None:
    mesh = {"evaluator": "mesh", "reference": False}
    fan = {"evaluator": "fan", "reference": True}
    rows = [row("emotalk", "lip_r", 0.7, **mesh), row("emotalk", "lip_r", 0.6, **fan)]
    rows += [r for r in chance_rows("tiny") if r.metric == "lip_r"]
    table = build_table(frame(rows), "self_reconstruction", ("lip_r",), "t", "n")
    assert [(c.evaluator, c.stand_in) for c in table.columns] == [("fan", False), ("mesh", True)]
    cells = {name: [c.value for c in cells] for name, _, cells in table.rows}
    assert cells == {"Chance (computed)": ["0.000", "0.000"], "EmoTalk": ["0.600", "0.700"]}


def test_best_is_marked_among_methods_only_and_in_the_right_direction() -> None:
    rows = [
        row("ground_truth", "flicker", 0.0),
        row("emotalk", "flicker", 2.0),
        row("no_sync", "flicker", 1.0),
        row("emotalk", "sharpness", 0.8),
        row("no_sync", "sharpness", 1.9),
    ]
    table = build_table(frame(rows), "self_reconstruction", ("flicker", "sharpness"), "t", "n")
    best = {name: [c.best for c in cells] for name, _, cells in table.rows}
    assert best["EmoTalk"] == [False, True] and best["without sync loss"] == [True, False]
    assert best["Ground truth"] == [False, False]


def test_subjects_are_averaged() -> None:
    rows = [row("emotalk", "psnr_full", 30.0), row("emotalk", "psnr_full", 32.0, subject="b")]
    table = next(iter(paper_shaped_tables(frame(rows)).values()))
    assert table.rows[0][2][0].value == "31.00"


def test_charts_hold_their_points_and_survive_gaps() -> None:
    x = np.arange(5.0)
    chart = line_chart([Line("a<b", x, np.array([0, 1, np.nan, 3, 4.0]))], "s", "y", "about")
    path = re.search(r'class="line s0" d="([^"]+)"', chart)
    assert path and path.group(1).count("M") == 2 and path.group(1).count("L") == 2
    assert "a&lt;b" in chart and 'aria-label="about"' in chart
    assert line_chart([], "s", "y", "about") == ""
    plane = emotion_plane([("happy", (1.0, 0.0), (0.0, 1.0))], "plane")
    assert 'class="target" cx="386.0" cy="210.0"' in plane
    assert 'class="read" cx="210.0" cy="34.0"' in plane


def test_pictures_by_hand() -> None:
    assert spread(100, 4) == [12, 37, 62, 87] and spread(2, 6) == [0, 1]
    black, white = np.zeros((4, 4, 3), np.uint8), np.full((4, 4, 3), 255, np.uint8)
    assert error_map(black, black).max() < 8 and error_map(black, white).mean() > 150
    labels = np.zeros((4, 4), np.uint8)
    labels[0, 0] = 4  # lips, tinted red
    tinted = overlay_labels(white, labels)
    assert (tinted[1:] == 255).all() and tinted[0, 0, 0] > tinted[0, 0, 1]


def test_training_series_come_out_of_progress_lines(tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    log.write_text(
        "10:00:00 INFO a: face 100/900 (11 %) 24.1/s, 33 s left, loss=0.25, psnr=21\n"
        "something else\n"
        "10:00:05 INFO a: face 220/900 (24 %) 24.0/s, 28 s left, loss=0.125, psnr=23.5\n",
        encoding="utf-8",
    )
    series = training_series(log)
    assert series["loss"] == ([100.0, 220.0], [0.25, 0.125])
    assert series["psnr"][1] == [21.0, 23.5]


def test_expected_lips_take_the_spread_of_the_measured() -> None:
    out = matched(np.array([0.0, 1, 2]), np.array([1.0, 1, 4]))
    assert out.mean() == pytest.approx(2) and out.std() == pytest.approx(np.sqrt(2))


PLAY_ALL = """
Promise.all([...document.querySelectorAll('video')].map(async video => {
  video.muted = true;
  await video.play();
  for (let wait = 0; wait < 100 && video.currentTime === 0; wait++)
    await new Promise(done => setTimeout(done, 50));
  return video.currentTime > 0;
}))
"""


class Links(html.parser.HTMLParser):
    """Collects every address that a page refers to, and its tags."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.tags: list[str] = []
        self.images: list[dict[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        found = dict(attrs)
        self.links += [v for k, v in attrs if k in ("src", "href") and v]
        if tag == "img":
            self.images.append(found)


@pytest.fixture(scope="module")
def page(
    original: TinySubject, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, TinySubject]:
    """A report of the tiny subject with all three scenarios; no face is found in its noise."""
    folder = tmp_path_factory.mktemp("report")
    shutil.copytree(original.folder, folder, dirs_exist_ok=True)
    tiny = TinySubject(folder, original.frames)
    test = np.arange(N_TRAIN, N_FRAMES)
    common = {"valence": 0.1, "arousal": 0.0}
    own = pd.DataFrame(
        {
            "frame": test - N_TRAIN,
            "clip": "test",
            "source_frame": test,
            "audio_frame": test,
            **common,
        }
    )
    points = points_table(read_manifest(tiny["manifest"]))
    many = points.loc[points.index.repeat(5)].reset_index(drop=True)
    tiny.add_render("self_reconstruction", tiny.frames[N_TRAIN:], own)
    tiny.add_render("cross_audio", tiny.frames[N_TRAIN:], own.assign(clip="audio"))
    tiny.add_render("emotion", tiny.frames[: len(many)], many)
    rows = [row("emotalk", "psnr_full", 31.25), *chance_rows("tiny")]
    rows.append(row("emotalk", "lip_r", 0.8, evaluator="mesh", reference=False))
    emotion = {"scenario": "emotion", "evaluator": "reader", "reference": False}
    for index, clip in enumerate(points["clip"]):
        rows.append(row("emotalk", "v_read", index / 20, **{**emotion, "clip": clip}))
        rows.append(row("emotalk", "a_read", 0.0, **{**emotion, "clip": clip}))
        rows.append(row("emotalk", "e_share_sad", 1.0, **{**emotion, "clip": clip}))
    write_rows(tiny.folder / "metrics.csv", rows)
    names = ("manifest", "video", "track", "regions", "alpha", "torso", "normals")
    tables = ("action_units", "valence_arousal", "speech")
    check_quality(**tiny.paths(*names, *tables), **quality(tiny), settings=QualitySettings())
    speed = ("tiny", "emotalk", "emotion", 31.5, 20, "cpu", "cpu", 1, 256, 256, 9000)
    write_table(tiny.folder / "speed.csv", pd.DataFrame([speed], columns=list(SPEED_COLUMNS)))
    distances = {"sync_d@sync": 1 + np.abs(np.linspace(-1, 1, 31))[None].repeat(4, axis=0)}
    terms = FrameTerms(np.array(["test"] * 4), np.arange(4), distances)
    found = {("emotalk", "self_reconstruction"): terms, ("emotalk", "cross_audio"): terms}
    write_terms(tiny.folder / "emotalk.npz", found)
    write_page(tiny, tiny.folder)
    return (tiny.folder / "report.html").read_text(encoding="utf-8"), tiny


def quality(tiny: TinySubject) -> dict[str, Path]:
    return {"quality_json": tiny.folder / "quality.json", "quality_png": tiny.folder / "q.png"}


def write_page(tiny: TinySubject, folder: Path) -> None:
    """The report of the tiny subject's files as they lie there."""
    renders = (tiny.folder / "renders").rglob("*.mkv")
    files = SubjectFiles(
        **tiny.paths("manifest", "video", "audio"),
        metrics=tiny.folder / "metrics.csv",
        **quality(tiny),
        renders={
            "emotalk": {v.stem: RenderFiles(v, v.with_suffix(".csv")) for v in sorted(renders)}
        },
        clip_audio={"audio": tiny["audio"]},
        emotion_audio=tiny["audio"],
        training_logs={"emotalk face": tiny.folder / "absent.log"},
        speeds=[tiny.folder / "speed.csv"],
        terms=[tiny.folder / "emotalk.npz"],
    )
    write_report(
        subjects=["tiny"],
        files={"tiny": files},
        report=folder / "report.html",
        picture=folder / "report.png",
        settings=SETTINGS,
    )


def test_the_same_files_give_the_same_bytes(page: tuple[str, TinySubject], tmp_path: Path) -> None:
    """Page, videos inside it and picture; times of stages and frames come from files too."""
    _, tiny = page
    write_page(tiny, tmp_path)
    for name in ("report.html", "report.png"):
        assert (tmp_path / name).read_bytes() == (tiny.folder / name).read_bytes(), name


def test_speeds_and_sync_curves_are_shown(page: tuple[str, TinySubject]) -> None:
    text, _ = page
    assert re.search(r"<td>31.5</td><td>256.256</td><td>9,000</td><td>cpu</td>", text)
    assert "sound shifted by, ms" in text
    assert text.count("distance of lips and sound</text>") == 2


def test_the_page_is_whole_offline_and_labelled(page: tuple[str, TinySubject]) -> None:
    text, tiny = page
    links = Links()
    links.feed(text)
    assert all(link.startswith(("data:", "#")) for link in links.links)
    assert "script" not in links.tags and "link" not in links.tags
    assert all(image.get("alt") for image in links.images)
    assert "31.25" in text and "\N{DAGGER}" in text and "consent" in text
    for name in ("Chance (computed)", "For context: what the paper printed", "33.78"):
        assert name in text
    picture = Image.open(tiny.folder / "report.png")
    assert picture.size[0] > picture.size[1] > 250
    assert not list(tiny.folder.glob(".report_*"))


def test_the_videos_play_and_have_sound(page: tuple[str, TinySubject]) -> None:
    text, _ = page
    movies = re.findall(r'src="data:video/mp4;base64,([^"]+)"', text)
    assert len(movies) == 3 + 12, "one of each scenario, one of each emotion"
    assert text.count('poster="data:image/jpeg') == len(movies)
    for data in movies:
        with av.open(io.BytesIO(base64.b64decode(data))) as movie:
            assert movie.streams.video[0].codec_context.name == "h264"
            assert movie.streams.audio, "the driving sound belongs to the video"
            assert sum(1 for _ in movie.decode(video=0)) in (5, 25)


def test_stage_times_are_the_ends_of_the_logs(tmp_path: Path) -> None:
    end = "10:00:00 INFO emotalk.train_face: done in {} s, peak memory {} MiB\n"
    (tmp_path / "train_face_a.log").write_text(end.format(9.5, 100) + end.format(90.0, 900))
    (tmp_path / "ingest.log").write_text("killed before its end")
    (tmp_path / "track_head.log").write_text(end.format(100.0, 300))
    found = [(t.stage, t.seconds, t.memory) for t in stage_times(tmp_path)]
    assert found == [("track_head", 100.0, 300), ("train_face_a", 90.0, 900)]
    assert stage_times(None) == []


@dataclass
class Opened:
    """What a real browser makes of a page.

    Attributes:
        problems: console errors and addresses that were asked for.
        played: whether each video moves.
        width: px that the page takes.
        plots: dots in the valence-arousal plane.
        focused: tag that the first press of Tab reaches.
        picture: the whole page.
    """

    problems: list[str]
    played: list[bool]
    width: int
    plots: int
    focused: str
    picture: Image.Image


def opened(report: Path, width: int, scheme: str) -> Opened:
    """Open a page in Chromium; skips where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("no chromium on the PATH (Debian: apt-get install chromium)")
    problems: list[str] = []
    with playwright.sync_playwright() as driver:
        flags = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]
        browser = driver.chromium.launch(executable_path=chromium, args=flags)
        tab = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
        tab.on("console", lambda m: problems.append(m.text) if m.type == "error" else None)
        tab.on("pageerror", lambda e: problems.append(str(e)))
        tab.on("request", lambda r: problems.append(r.url) if r.url[:4] == "http" else None)
        tab.goto(report.as_uri())
        picture = Image.open(io.BytesIO(tab.screenshot(full_page=True))).convert("RGB")
        played = tab.evaluate(PLAY_ALL)
        taken = tab.evaluate("document.documentElement.scrollWidth")
        plots = tab.evaluate("document.querySelectorAll('svg .read').length")
        tab.keyboard.press("Tab")
        focused = tab.evaluate("document.activeElement.tagName")
        browser.close()
    return Opened(problems, played, taken, plots, focused, picture)


def test_a_browser_opens_the_page_without_errors(page: tuple[str, TinySubject]) -> None:
    """Nothing is loaded, nothing complains, videos play, nothing is wider than a phone."""
    seen = opened(page[1].folder / "report.html", 390, "dark")
    assert seen.problems == []
    assert len(seen.played) == 15 and all(seen.played), "every video moves"
    assert seen.width <= 390 and seen.plots == 12 and seen.focused == "A"


def test_a_whole_page_is_kept_as_a_picture() -> None:
    """A finished page stands the same test, and its picture goes to the docs (docs/metrics.md)."""
    if "EMOTALK_REPORT" not in os.environ:
        pytest.skip("EMOTALK_REPORT names no finished page")
    report = Path(os.environ["EMOTALK_REPORT"]).resolve()
    desk, phone = opened(report, 1280, "light"), opened(report, 390, "dark")
    for seen, width in ((desk, 1280), (phone, 390)):
        assert seen.problems == [] and all(seen.played) and seen.width <= width and seen.plots == 12
    if "EMOTALK_PICTURE" in os.environ:
        keep_picture(Path(os.environ["EMOTALK_PICTURE"]), desk.picture, phone.picture)


def keep_picture(path: Path, desk: Image.Image, phone: Image.Image, high: int = 2400) -> None:
    """Two pieces of the desktop page and two of the phone's beside each other, a third as large."""
    pieces = [(desk, 0), (desk, 1.85 * high), (phone, 0), (phone, 2.55 * high)]
    crops = [p.crop((0, int(top), p.width, int(top) + high)) for p, top in pieces]
    gap = 30
    sheet = Image.new("RGB", (sum(c.width + gap for c in crops) - gap, high), "#9a9a96")
    left = 0
    for crop in crops:
        sheet.paste(crop, (left, 0))
        left += crop.width + gap
    size = (round(sheet.width / 2.2), round(high / 2.2))
    sheet.resize(size, Image.Resampling.LANCZOS).save(path, quality=78, optimize=True)


def test_readings_are_joined_with_their_points(page: tuple[str, TinySubject]) -> None:
    _, tiny = page
    metrics = pd.read_csv(tiny.folder / "metrics.csv")
    points = points_table(read_manifest(tiny["manifest"]))
    targets = {c: (v, a) for c, v, a in zip(points["clip"], points["valence"], points["arousal"])}
    found = read_points(metrics, "emotalk", targets)
    assert [p.label for p in found] == [p.label for p in evaluation_points()]
    assert [p.read[0] for p in found] == pytest.approx([i / 20 for i in range(12)])


def test_a_report_without_subjects_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="no files for subjects"):
        write_report(
            subjects=["x"],
            files={},
            report=tmp_path / "r.html",
            picture=tmp_path / "r.png",
            settings=SETTINGS,
        )
