// Mean structural similarity (ssim.py): 11 x 11 Gaussian window, zero padding.
#pragma once

namespace emotalk {

// Returns the mean over [channels, height, width]; writes its gradient to `image` unless null.
double ssim(int channels, int height, int width, const float* image, const float* target,
            float* gradient, int threads);

}  // namespace emotalk
