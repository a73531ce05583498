"""Lip-sync experts: do these lips belong to this sound, and by how much are they apart in time."""
