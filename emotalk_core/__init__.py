"""EmoTalk core library: from one person's video to an emotional 3D Gaussian talking head."""

__version__ = "0.1.0"
