"""The only room that touches the disk: video, audio, tables, arrays, checkpoints, written whole."""
