"""The Gaussian engine: rasterizer, tri-plane hash grid, SSIM and densification behind one API."""
