"""Make the core beside these scripts the one that is imported, whatever is installed."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def use_this_checkout() -> None:
    """Put this checkout first on the path; an editable install of another one steps back.

    scikit-build-core's editable installs answer imports before the path is searched.
    """
    sys.meta_path[:] = [f for f in sys.meta_path if "_editable_" not in type(f).__module__]
    sys.path.insert(0, str(ROOT))
