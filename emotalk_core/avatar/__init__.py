"""The person's model: from sound, action units and (valence, arousal) to a composited head."""
