"""Update rules of the assignment, see layers.py beside it."""

import numpy as np


def sgd_momentum(w, dw, config):
    v = config["velocity"] = 0.9 * config.get("velocity", 0) - config["learning_rate"] * dw
    return w + v, config


def rmsprop(w, dw, config):
    s = config["cache"] = 0.99 * config.get("cache", 0) + 0.01 * dw**2
    return w - config["learning_rate"] * dw / (np.sqrt(s) + 1e-8), config


def adam(w, dw, config):
    t = config["t"] = config.get("t", 0) + 1
    m = config["m"] = 0.9 * config.get("m", 0) + 0.1 * dw
    v = config["v"] = 0.999 * config.get("v", 0) + 0.001 * dw**2
    return w - config["learning_rate"] * m / (1 - 0.9**t) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8), config
