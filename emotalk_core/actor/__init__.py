"""The digital actor: a CC0 face model, a renderer, speech movements, the truth of every frame."""
