"""Behaviour tests: templates, corruptions, and what a model should or should not mind."""
