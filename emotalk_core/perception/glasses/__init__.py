"""Glasses: whether they are worn and where; faces without them and with them again."""
