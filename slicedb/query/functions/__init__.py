"""The functions that SliceDB adds to SQL."""
