"""One training loop for all stages; stages are data, state is resumable to the same bytes."""
