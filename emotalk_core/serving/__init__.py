"""Driving a trained avatar: scenarios of the paper as plans of frames, and their renders."""
