"""Label maps and soft head masks from frames and landmarks."""
