"""The bundled small world: rendered scenes, a tiny CLIP that knows them, two food classifiers."""
