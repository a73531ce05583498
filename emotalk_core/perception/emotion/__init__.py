"""Valence, arousal and class posterior of frames, relative to the subject's own median."""
