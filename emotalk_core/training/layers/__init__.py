"""What each stage draws and compares: one module a layer, the seam in `base`."""
