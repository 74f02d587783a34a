"""Training of the embedded model: a drawn world, its vocabulary and the training loops."""
