"""Evaluation: metrics with intervals and trivial rows, input quality, and the report page."""
