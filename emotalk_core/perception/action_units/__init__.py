"""Seventeen action unit intensities from the tracked expression or an OpenFace table."""
