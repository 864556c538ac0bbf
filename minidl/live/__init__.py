"""A page on this machine on which one sees a network learn: `python -m minidl.live`; needs the extra `live`.

Nothing of it is imported by `import minidl`. A request comes in by `guard` (token, host, origin, sizes), goes to its
function in `api`, which asks the `desk` for what all tabs have in common: the data, the training (`run`), the models.
"""
