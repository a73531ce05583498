"""The command line `emotalk`: a sub-command comes in, an exit code goes out."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from emotalk_core.errors import EmotalkError

INTERRUPTED = 130  # exit code after Ctrl-C, as shells have it


def _doctor(_: argparse.Namespace) -> int:
    from emotalk_core.doctor import examine

    fatal = False
    for finding in examine():
        sys.stdout.write(f"{finding.topic:<28} {finding.state:<10} {finding.note}\n")
        fatal = fatal or finding.fatal
    sys.stdout.write("This machine cannot run the pipeline yet.\n" if fatal else "Ready.\n")
    return int(fatal)


def _weights(arguments: argparse.Namespace) -> int:
    from emotalk_core.weights import known_weights, pin, state_of, weight_files

    for name in arguments.pin:
        sys.stdout.write(f"{name}: pinned at sha256 {pin(known_weights(name))}\n")
    for entry in weight_files().values():
        sys.stdout.write(f"{entry.name:<18} {state_of(entry):<11} {entry.config}\n")
        sys.stdout.write(f"{'':<30} {entry.file}; {entry.licence}; {entry.home}\n")
    return 0


def _demo_actor(arguments: argparse.Namespace) -> int:
    from emotalk_core.actor.stage import ActorSettings, make_actor_video

    settings = ActorSettings(seed=arguments.seed, seconds=arguments.seconds)
    make_actor_video(video=arguments.video, settings=settings, threads=arguments.threads)
    return 0


def _compare(arguments: argparse.Namespace) -> int:
    from emotalk_core.evaluation.compare import Side, as_text, compare
    from emotalk_core.evaluation.intervals import BootstrapSettings
    from emotalk_core.media.tables import write_table

    other = arguments.other_method or arguments.method
    first = Side(arguments.first, arguments.method)
    second = Side(arguments.second, other)
    table = compare(first, second, BootstrapSettings(arguments.block_frames, arguments.resamples))
    names = (f"{side.folder} ({side.method})" for side in (first, second))
    sys.stdout.write(as_text(table, *names))
    if arguments.csv is not None:
        write_table(arguments.csv, table)
    return 0


def _render(arguments: argparse.Namespace) -> int:
    from emotalk_core.serving.drive import DriveRequest, drive_avatar

    request = DriveRequest(
        folder=arguments.folder,
        output=arguments.video,
        method=arguments.method,
        sound=arguments.sound,
        emotion=arguments.emotion,
        seconds=arguments.seconds,
    )
    drive_avatar(request, threads=arguments.threads, device=arguments.device)
    return 0


def _view(arguments: argparse.Namespace) -> int:
    from emotalk_core.serving.viewer import ViewerSettings, view_avatar

    settings = ViewerSettings(arguments.host, arguments.port, arguments.threads)
    view_avatar(
        folder=arguments.folder,
        method=arguments.method,
        sounds=arguments.sound,
        settings=settings,
        device=arguments.device,
    )
    return 0


def _import_subject(arguments: argparse.Namespace) -> int:
    from emotalk_core.perception.exchange.importing import import_subject

    report = import_subject(
        folder=arguments.folder,
        subject=arguments.subject,
        results=arguments.results,
        extractor=arguments.extractor,
    )
    sys.stdout.write(report.text(arguments.subject))
    return 0


def _export_subject(arguments: argparse.Namespace) -> int:
    from emotalk_core.perception.exchange.exporting import export_subject

    missing = export_subject(
        subject=arguments.subject, folder=arguments.folder, results=arguments.results
    )
    sys.stdout.write(f"written to {arguments.folder}\n")
    if missing:
        sys.stdout.write(f"left out, not computed yet: {', '.join(missing)}\n")
    return 0


def _mp4(text: str) -> Path:
    """The name of a video that is written."""
    path = Path(text)
    if path.suffix.lower() != ".mp4":
        raise argparse.ArgumentTypeError(f"{text}: wanted a name that ends in .mp4")
    return path


def _count(text: str) -> int:
    """A number from 1 on."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text}: wanted a whole number from 1 on")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="emotalk", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="command")
    doctor = commands.add_parser("doctor", help="what this machine can do")
    doctor.set_defaults(run=_doctor)
    weights = commands.add_parser("weights", help="optional weight files and their state")
    weights.add_argument(
        "--pin", nargs="+", default=[], metavar="NAME", help="take the file that is there as right"
    )
    weights.set_defaults(run=_weights)
    actor = commands.add_parser("demo-actor", help="a video of the digital actor")
    actor.add_argument("video", type=_mp4, help="where the .mp4 goes")
    actor.add_argument("--seed", type=int, default=7, help="which person and which words")
    actor.add_argument("--seconds", type=float, default=24.0, help="length of the clip, s")
    actor.add_argument("--threads", type=_count, default=1)
    actor.set_defaults(run=_demo_actor)
    pair = commands.add_parser("compare", help="two runs or methods, frame by frame")
    pair.add_argument("first", type=Path, help="results/SUBJECT, or a folder of subjects")
    pair.add_argument("second", type=Path, help="the other one; may be the same folder")
    pair.add_argument("--method", default="emotalk", help="whose renders are compared")
    pair.add_argument("--other-method", help="of the second folder, where it is another one")
    pair.add_argument("--block-frames", type=_count, default=25, help="frames of a bootstrap block")
    pair.add_argument("--resamples", type=_count, default=1000, help="bootstrap draws")
    pair.add_argument("--csv", type=Path, help="also write the table there")
    pair.set_defaults(run=_compare)
    render = commands.add_parser("render", help="let a trained avatar speak with an emotion")
    render.add_argument("folder", type=Path, help="results folder of the subject: results/obama")
    render.add_argument("video", type=_mp4, help="where the .mp4 goes")
    render.add_argument("--sound", type=Path, help="wav that is spoken; default: the subject's own")
    render.add_argument(
        "--emotion",
        default="neutral",
        help='a word (happy), "0.5,-0.3" (valence,arousal), or keyframes in seconds: '
        '"0:neutral 2:happy 4.5:-0.6,0.2"',
    )
    render.add_argument("--seconds", type=float, help="length; default: the whole sound")
    render.set_defaults(run=_render)
    view = commands.add_parser("view", help="speak and feel live, on a page in the browser")
    view.add_argument("folder", type=Path, help="results folder of the subject: results/obama")
    view.add_argument(
        "--sound", type=Path, nargs="+", default=[], help="sounds that the page offers"
    )
    view.add_argument(
        "--host", default="127.0.0.1", help="other than loopback: others can use it too"
    )
    view.add_argument("--port", type=int, default=8765, help="0: any that is free")
    view.set_defaults(run=_view)
    for command, threads in ((render, 1), (view, 2)):
        command.add_argument("--method", default="emotalk", help="row of the tables")
        command.add_argument("--device", default="cpu", choices=("auto", "cpu", "cuda"))
        command.add_argument("--threads", type=_count, default=threads)
    _add_exchange(commands)
    return parser


def _add_exchange(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Subject folders of TalkingGaussian and ER-NeRF (docs/exchange.md)."""
    taken = commands.add_parser(
        "import-subject", help="a TalkingGaussian/ER-NeRF folder as a subject"
    )
    taken.add_argument(
        "folder", type=Path, help="with ori_imgs/, aud.wav, transforms_train.json, ..."
    )
    taken.add_argument("subject", help="name of the results folder")
    taken.add_argument(
        "--extractor", default="", help="whose aud_*.npy is taken; default: the first that is there"
    )
    taken.set_defaults(run=_import_subject)
    given = commands.add_parser(
        "export-subject", help="a subject as a TalkingGaussian/ER-NeRF folder"
    )
    given.add_argument("subject", help="name of the results folder")
    given.add_argument("folder", type=Path, help="new folder")
    given.set_defaults(run=_export_subject)
    for command in (taken, given):
        command.add_argument("--results", type=Path, default=Path("results"), help="all results")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one sub-command; what a user can mend becomes one line on stderr and exit code 1."""
    arguments = _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    try:
        code: int = arguments.run(arguments)
    except (EmotalkError, OSError) as error:
        sys.stderr.write(f"emotalk: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("emotalk: interrupted; nothing was written\n")
        return INTERRUPTED
    return code
