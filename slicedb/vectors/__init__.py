"""Vectors: the matrix of an embedding, exact top-k, targets and the background bank."""
