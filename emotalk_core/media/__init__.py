"""The only room that touches the disk: video, audio, tables, arrays, checkpoints, progress, all written whole."""
