"""What keeps the plan of a thousand subjects (17,000 jobs) quick (`benchmarks/dry_run.py`)."""

import gc
from functools import cache

import smart_open


def quicken_planning() -> None:
    """Two settings of this process; neither changes what is planned.

    - The graph lives to the end of the run: full passes of the garbage collector free
      nothing and cost a sixth of the time. Young objects are collected as always.
    - Snakemake asks for the address of the same few scripts three times for each job, and
      smart_open makes a new class for each answer: a quarter of the time.
    """
    gc.set_threshold(700, 10, 1_000_000)
    if not hasattr(smart_open.parse_uri, "cache_info"):
        smart_open.parse_uri = cache(smart_open.parse_uri)
