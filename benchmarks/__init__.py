"""One harness that validates and times minidl's backends, PyTorch and other libraries: `python -m benchmarks
--help`.
"""
