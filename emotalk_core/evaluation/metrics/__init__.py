"""The metrics, one idea a file; `registry.load_metrics` gives them all."""
