"""Sound in, one window of speech features per 25 fps frame out."""
