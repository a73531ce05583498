"""Pure functions on torch tensors: rotations, pinhole projection, spherical harmonics, normals."""
