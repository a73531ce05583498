"""Blocks that several reference networks share, with the parameter names of their files."""
