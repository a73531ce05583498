"""Continuous emotion: the valence-arousal circle, emotional face generators and the image bank."""
