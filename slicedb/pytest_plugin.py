"""The pytest plug-in: collects slice files as tests."""
