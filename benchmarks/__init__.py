"""Measurements of this project's speed on the machine that runs them."""

import os

# Before torch starts its threads: a spinning OpenMP thread beside a busy neighbour (or beside the
# engine's own threads) costs up to ten times; waiting passively costs nothing.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
