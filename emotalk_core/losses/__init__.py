"""Training losses: pure functions of one step's tensors, one file and one registry line each."""
