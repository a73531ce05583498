"""Camera-space normals inside the face from the tracked landmarks."""
