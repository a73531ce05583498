"""Frozen records that travel between rooms; import them from their own modules."""
