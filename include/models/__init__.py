"""Models: train, evaluate, register, promote."""
