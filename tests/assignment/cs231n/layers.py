"""Functions of the assignment, written for the tests of tools/check_cs231n.py, with its names and conventions."""

import numpy as np


def affine_forward(x, w, b):
    return x.reshape(len(x), -1) @ w + b, (x, w)


def affine_backward(dout, cache):
    x, w = cache
    return (dout @ w.T).reshape(x.shape), x.reshape(len(x), -1).T @ dout, dout.sum(axis=0)


def relu_forward(x):
    return np.maximum(x, 0), x


def relu_backward(dout, x):
    return dout * (x > 0)


def softmax_loss(x, y):
    p = np.exp(x - x.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    rows = np.arange(len(x))
    return -np.log(p[rows, y]).mean(), (p - np.eye(x.shape[1])[y]) / len(x)


def normalise(x, gamma, beta, axes, eps=1e-5):
    mean, var = x.mean(axis=axes, keepdims=True), x.var(axis=axes, keepdims=True)
    inv = 1 / np.sqrt(var + eps)
    xhat = (x - mean) * inv
    return gamma * xhat + beta, (xhat, inv, gamma, axes), mean, var


def back(dout, cache, over):
    xhat, inv, gamma, axes = cache
    g = gamma * dout
    dx = inv * (g - g.mean(axis=axes, keepdims=True) - xhat * (g * xhat).mean(axis=axes, keepdims=True))
    return dx, (dout * xhat).sum(axis=over), dout.sum(axis=over)


def batchnorm_forward(x, gamma, beta, bn_param):
    mean = bn_param.setdefault("running_mean", np.zeros(x.shape[1]))
    var = bn_param.setdefault("running_var", np.zeros(x.shape[1]))
    if bn_param["mode"] == "test":
        return gamma * (x - mean) / np.sqrt(var + 1e-5) + beta, None
    y, cache, m, v = normalise(x, gamma, beta, 0)
    bn_param["running_mean"] = 0.9 * mean + 0.1 * m[0]
    bn_param["running_var"] = 0.9 * var + 0.1 * v[0]
    return y, cache


def batchnorm_backward(dout, cache):
    return back(dout, cache, 0)


batchnorm_backward_alt = batchnorm_backward


def layernorm_forward(x, gamma, beta, ln_param):
    return normalise(x, gamma, beta, 1)[:2]


def layernorm_backward(dout, cache):
    return back(dout, cache, 0)


def dropout_forward(x, dropout_param):
    if dropout_param["mode"] == "test":
        return x, None
    p = dropout_param["p"]
    mask = (np.random.default_rng(dropout_param["seed"]).random(x.shape) < p) / p
    return x * mask, mask


def dropout_backward(dout, mask):
    return dout * mask


def windows(x, kh, kw, stride):
    return np.lib.stride_tricks.sliding_window_view(x, (kh, kw), axis=(2, 3))[:, :, ::stride, ::stride]


def conv_forward_naive(x, w, b, conv_param):
    p = conv_param["pad"]
    padded = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
    y = np.einsum("nchwij,ocij->nohw", windows(padded, *w.shape[2:], conv_param["stride"]), w)
    return y + b[:, None, None], (padded, w, conv_param)


def conv_backward_naive(dout, cache):
    padded, w, conv_param = cache
    s, p = conv_param["stride"], conv_param["pad"]
    dw = np.einsum("nchwij,nohw->ocij", windows(padded, *w.shape[2:], s), dout)
    dx = np.zeros_like(padded)
    for i, j in np.ndindex(dout.shape[2:]):
        place = np.s_[:, :, i * s : i * s + w.shape[2], j * s : j * s + w.shape[3]]
        dx[place] += np.einsum("no,ocij->ncij", dout[:, :, i, j], w)
    return dx[:, :, p:-p, p:-p], dw, dout.sum(axis=(0, 2, 3))


def max_pool_forward_naive(x, pool_param):
    y = windows(x, pool_param["pool_height"], pool_param["pool_width"], pool_param["stride"]).max(axis=(4, 5))
    return y, (x, y, pool_param)


def max_pool_backward_naive(dout, cache):
    x, y, pool_param = cache
    h, w, s = pool_param["pool_height"], pool_param["pool_width"], pool_param["stride"]
    dx = np.zeros_like(x)
    for i, j in np.ndindex(dout.shape[2:]):
        place = np.s_[:, :, i * s : i * s + h, j * s : j * s + w]
        dx[place] += (x[place] == y[:, :, i, j, None, None]) * dout[:, :, i, j, None, None]
    return dx


def rows(x):
    return x.transpose(0, 2, 3, 1).reshape(-1, x.shape[1])


def spatial_batchnorm_forward(x, gamma, beta, bn_param):
    N, C, H, W = x.shape
    y, cache = batchnorm_forward(rows(x), gamma, beta, bn_param)
    return y.reshape(N, H, W, C).transpose(0, 3, 1, 2), cache


def spatial_batchnorm_backward(dout, cache):
    N, C, H, W = dout.shape
    dx, dgamma, dbeta = batchnorm_backward(rows(dout), cache)
    return dx.reshape(N, H, W, C).transpose(0, 3, 1, 2), dgamma, dbeta


def spatial_groupnorm_forward(x, gamma, beta, G, gn_param):
    N, C, H, W = x.shape
    shape = N, G, C // G, H, W
    y, (xhat, inv, _, axes), *_ = normalise(x.reshape(shape), 1, 0, (2, 3, 4))
    return gamma * y.reshape(x.shape) + beta, (xhat, inv, gamma, axes)


def spatial_groupnorm_backward(dout, cache):
    xhat, inv, gamma, axes = cache
    dx = back((gamma * dout).reshape(xhat.shape), (xhat, inv, 1, axes), 0)[0]
    dgamma = (dout * xhat.reshape(dout.shape)).sum(axis=(0, 2, 3), keepdims=True)
    return dx.reshape(dout.shape), dgamma, dout.sum(axis=(0, 2, 3), keepdims=True)
