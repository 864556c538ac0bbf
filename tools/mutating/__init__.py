"""Small faults put into a copy of the sources, to see whether the tests find them: see `tools/mutants.py`."""
