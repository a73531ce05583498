"""Head tracking: landmarks of a clip in, person's neutral, poses, cameras, expression out."""
