"""A user's video in; a 25 fps head crop, 16 kHz sound in time with it, and a manifest out."""
