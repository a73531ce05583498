"""Photometric refinement of head poses: one set for every method and baseline."""
