"""Subject folders of TalkingGaussian and ER-NeRF: theirs in, ours out, and back."""
