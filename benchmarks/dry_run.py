"""Seconds that a plan takes: one subject, and many.

    python -m benchmarks.dry_run --subjects 1000

Runs in the repository's root and plans only: nothing is made, no subject's folder is touched.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml


def plan_seconds(subjects: int, folder: Path) -> tuple[float, int]:
    """Wall seconds of a dry run over this many new subjects, and how many jobs it lists."""
    video = folder / "video.mp4"
    video.touch()
    names = {f"subject_{i:05d}": {"video": str(video)} for i in range(subjects)}
    config = folder / "subjects.yaml"
    config.write_text(yaml.safe_dump({"subjects": names}), encoding="utf-8")
    command = [sys.executable, "-m", "snakemake", "--dry-run", "--quiet", "rules", "--cores", "2"]
    start = time.perf_counter()
    done = subprocess.run(
        [*command, "--nolock", "--configfile", str(config), "--", "all"],
        capture_output=True,
        text=True,
        check=True,
    )
    seconds = time.perf_counter() - start
    jobs = next(
        int(line.split()[1])
        for line in (done.stdout + done.stderr).splitlines()
        if line.startswith("total ")
    )
    return seconds, jobs


def main() -> None:
    """Print both times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--subjects", type=int, default=1000, help="how many in the large plan")
    subjects = parser.parse_args().subjects
    for count in (1, subjects):
        with tempfile.TemporaryDirectory() as folder:
            seconds, jobs = plan_seconds(count, Path(folder))
        print(f"subjects {count:6d}  jobs {jobs:7d}  {seconds:6.1f} s")


if __name__ == "__main__":
    main()
