"""Predictions as compiled programs: channels in lanes, everything packed once, one call for all layers.

`lowering` makes operations out of a plan's steps, `fusing` puts neighbours together, `arena` gives every value its
place, `prediction` holds the result and `watch` tells when it is out of date. `choice` says when it is used.
"""
