"""A small world of its own: rendered scenes, a tiny CLIP that knows them, two food classifiers."""
