"""Input quality: what the perception stages delivered, checked frame by frame."""
