"""The operations that every backend offers: signature, shapes, formula, tie and NaN rule.

A *backend* is a module with exactly the functions below, which `assemble` collects out of one module a family; their
docstrings are those of every backend. `tests/kernels/test_contract.py` compares the signatures.

Alphabet, the same in Python, Cython and C:

    N batch   C channels in   H W height and width in      O channels out   OH OW height and width out
    KH KW kernel   SH SW stride   PH PW padding   DH DW dilation   G groups   F features   d<name> gradient of <name>

Activations travel between operations as the backend's own *array*: a `numpy.ndarray` in NCHW for `reference` and
`im2col`, a `LaneArray` for `native`. Both have `.shape` (logical: (N, C, H, W), (N, F), of capsules (N, I, D)), `.ndim`
and `.dtype`.
`enter` and `leave` convert. Parameters, their gradients and statistics are plain C-contiguous numpy arrays in every
backend.

Sizes arrive as checked pairs of ints (see `checks`); callers outside minidl use `minidl.functional`, which checks.
All arrays of one call share one dtype, float32 or float64. N may be zero.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from minidl.kernels.image_colors import Colors

Array = Any
Pair = tuple[int, int]
Padding = Pair | tuple[Pair, Pair] | str
"""(PH, PW) on both sides, or ((top, bottom), (left, right)), or "same" or "same_lower": see `checks.margins`. PH and PW
in a formula are top and left; bottom and right count in the output's size alone."""
Operand = Any
"""An Array, or a plain ndarray of one image that goes with all images of the other one."""
Pool = tuple[Any, ...]
"""("max" | "avg", kernel_size, stride, padding) and what else the plain pooling's functions take, in their order."""
Taps = tuple[np.ndarray, np.ndarray]
"""index, intp, and weight, of the images' dtype, of one shape (size, taps): what each row or column is mixed from"""


class Backend(Protocol):
    """What a backend module must offer. `name` is its name in `minidl.kernels.use`."""

    name: str
    fuses: bool
    """Whether `Sequential` should merge neighbouring layers into the *_block operations."""

    # ---- layout ------------------------------------------------------------------------------------------------------

    def enter(self, x: np.ndarray, infer: bool = False) -> Array:
        """NCHW or (N, F) ndarray, float32 or float64, C-contiguous and aligned -> the backend's array.

        infer: what comes of it will go through no backward operation and no loss, so that a backend may choose a layout
        that has none. Also takes what `leave` made of the int32 index array of `maxpool2d_forward`.
        """

    def batches(self, n: int, most: int, dtype: Any) -> list[int]:
        """Sizes of the batches, each of at most `most` images, in which inference of n images is fastest, in order."""

    def leave(self, x: Array) -> np.ndarray:
        """The backend's array -> ndarray that the caller owns. Also takes the index array of `maxpool2d_forward`."""

    def gather(
        self,
        images: np.ndarray,
        index: np.ndarray,
        scale: np.ndarray,
        shift: np.ndarray,
        infer: bool = False,
        moves: np.ndarray | None = None,
        colors: Colors | None = None,
    ) -> Array:
        """A batch out of a data set: y[n] = images[index[n]] * scale[c] + shift[c].

        images: (M, C, H, W) or (M, F), C-contiguous, uint8, float32 or float64. index: (N,) intp, each in [0, M).
        scale, shift: (C,) (or (F,) or (1,) for 2-D images) of the result's dtype. One multiplication, one addition.
        infer: as in `enter`. moves: (N, 8) or (N, 12) intp, for images of shape (M, C, H, W) alone: image index[n] is
        shifted or turned, flipped and cut as row n says (`minidl.kernels.image_moves`). What comes in from outside of
        the image is 0 before scaling, what is cut out 0 after it. A turned pixel is the sum of four weighted pixels of
        the result's dtype, in double, rounded once. colors: with moves alone; the moved images' colours are changed
        before scaling, as `minidl.kernels.image_colors` says, and what is cut out may be filled.
        """

    def reshape(self, x: Array, shape: tuple[int, ...]) -> Array:
        """Another shape for each image (row-major order kept): (N, ...) -> (N, *shape). May share memory with x."""

    def add(self, a: Array, b: Array) -> Array:
        """a + b, equal shapes."""

    # ---- convolution -------------------------------------------------------------------------------------------------

    def conv2d_forward(
        self, x: Array, w: np.ndarray, b: np.ndarray | None, stride: Pair, padding: Padding, dilation: Pair, groups: int
    ) -> Array:
        """y[n,o,oh,ow] = b[o] + sum_{c,kh,kw} x[n, g*C/G + c, oh*SH - PH + kh*DH, ow*SW - PW + kw*DW] * w[o,c,kh,kw].

        x (N, C, H, W), w (O, C/G, KH, KW), b (O,) or None, g = o // (O/G); zeros outside x;
        OH = (H + top + bottom - DH (KH-1) - 1) // SH + 1. A cross-correlation, as everywhere in deep learning.
        """

    def conv2d_backward(
        self,
        dy: Array,
        x: Array,
        w: np.ndarray,
        stride: Pair,
        padding: Padding,
        dilation: Pair,
        groups: int,
        need_dx: bool = True,
        out: tuple[np.ndarray, np.ndarray | None] | None = None,
    ) -> tuple[Array | None, np.ndarray, np.ndarray | None]:
        """-> dx (None unless need_dx), dw, db. `out` = (dw, db) to be overwritten; a None there is not computed."""

    def conv_transpose2d_forward(
        self,
        x: Array,
        w: np.ndarray,
        b: np.ndarray | None,
        stride: Pair,
        padding: Padding,
        output_padding: Pair,
        dilation: Pair,
        groups: int,
    ) -> Array:
        """y[n, g*O/G + o, ih*SH - PH + kh*DH, iw*SW - PW + kw*DW] = b + the sum of all x[n,c,ih,iw] * w[c,o,kh,kw]
        there.

        x (N, C, H, W), w (C, O/G, KH, KW), b (O,) or None, g = c // (C/G); padding not in words; what falls outside of
        y is lost. OH = (H - 1) SH - top - bottom + DH (KH-1) + 1 + output_padding, which is smaller than SH or DH. The
        transpose of conv2d_forward: with the same w, its input gradient.
        """

    def conv_transpose2d_backward(
        self,
        dy: Array,
        x: Array,
        w: np.ndarray,
        stride: Pair,
        padding: Padding,
        output_padding: Pair,
        dilation: Pair,
        groups: int,
        need_dx: bool = True,
        out: tuple[np.ndarray, np.ndarray | None] | None = None,
    ) -> tuple[Array | None, np.ndarray, np.ndarray | None]:
        """-> dx, dw, db as conv2d_backward; dx is the convolution of dy with w."""

    # ---- pooling -----------------------------------------------------------------------------------------------------

    def maxpool2d_forward(
        self,
        x: Array,
        kernel_size: Pair,
        stride: Pair,
        padding: Padding,
        dilation: Pair = (1, 1),
        ceil_mode: bool = False,
    ) -> tuple[Array, Array]:
        """-> y, argmax. argmax[n,c,oh,ow] = ih*W + iw of the maximum, int32.

        The window's places are oh*SH - PH + kh*DH, ow*SW - PW + kw*DW; OH as in conv2d_forward, or, with ceil_mode,
        that quotient rounded up, as far as the last window starts before row H. The first maximum in row-major order
        wins; padding never wins; the first NaN of a window wins over everything.
        """

    def maxpool2d_backward(
        self,
        dy: Array,
        argmax: Array,
        x_shape: tuple[int, ...],
        kernel_size: Pair,
        stride: Pair,
        padding: Padding,
        dilation: Pair = (1, 1),
        ceil_mode: bool = False,
    ) -> Array:
        """dx: each dy added at its argmax; overlapping windows add."""

    def avgpool2d_forward(
        self,
        x: Array,
        kernel_size: Pair,
        stride: Pair,
        padding: Padding,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> Array:
        """Sum over KH x KW windows, divided by the number of places that count: those in the padded image, padding as
        zeros (in all windows KH*KW, but for the last of ceil_mode); without count_include_pad those in the image.
        """

    def avgpool2d_backward(
        self,
        dy: Array,
        x_shape: tuple[int, ...],
        kernel_size: Pair,
        stride: Pair,
        padding: Padding,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> Array:
        """dx: dy, divided as in the forward function, added over each window."""

    def adaptive_avgpool_forward(self, x: Array, output_size: Pair) -> Array:
        """(N, C, H, W) -> (N, C, OH, OW): means over rows oh*H // OH up to ceil((oh+1)*H / OH), columns likewise."""

    def adaptive_avgpool_backward(self, dy: Array, x_shape: tuple[int, ...]) -> Array:
        """dx: dy, divided by its window's size, added over each window."""

    def global_maxpool_forward(self, x: Array) -> tuple[Array, Array]:
        """(N, C, H, W) -> y, argmax, both (N, C): the maximum over H and W and its place, as maxpool2d_forward's."""

    def global_maxpool_backward(self, dy: Array, argmax: Array, x_shape: tuple[int, ...]) -> Array:
        """dx: dy at its argmax, 0 elsewhere."""

    def global_avgpool_forward(self, x: Array) -> Array:
        """(N, C, H, W) -> (N, C), mean over H and W."""

    def global_avgpool_backward(self, dy: Array, x_shape: tuple[int, ...]) -> Array:
        """dx = dy / (H*W) everywhere."""

    # ---- linear ------------------------------------------------------------------------------------------------------

    def linear_forward(self, x: Array, w: np.ndarray, b: np.ndarray | None) -> Array:
        """y = x w^T + b. x (N, F), w (O, F), b (O,) or None -> (N, O)."""

    def linear_backward(
        self,
        dy: Array,
        x: Array,
        w: np.ndarray,
        need_dx: bool = True,
        out: tuple[np.ndarray, np.ndarray | None] | None = None,
    ) -> tuple[Array | None, np.ndarray, np.ndarray | None]:
        """dx = dy w (None unless need_dx), dw = dy^T x, db = sum_n dy. `out` as in conv2d_backward."""

    # ---- activations: the backward functions take the forward's result y; that of gelu takes x -----------------------

    def relu_forward(self, x: Array) -> Array:
        """max(x, 0); a NaN stays a NaN."""

    def relu_backward(self, dy: Array, y: Array) -> Array:
        """dy where y > 0, else 0. (x may stand for y: both have the same sign.)"""

    def sigmoid_forward(self, x: Array) -> Array:
        """1 / (1 + exp(-x)), without overflow."""

    def sigmoid_backward(self, dy: Array, y: Array) -> Array:
        """dy * y * (1 - y)"""

    def tanh_forward(self, x: Array) -> Array:
        """tanh(x)"""

    def tanh_backward(self, dy: Array, y: Array) -> Array:
        """dy * (1 - y^2)"""

    def leaky_relu_forward(self, x: Array, slope: float) -> Array:
        """x where x > 0, else slope * x. slope in [0, 1]."""

    def leaky_relu_backward(self, dy: Array, y: Array, slope: float) -> Array:
        """dy where y > 0, else slope * dy."""

    def elu_forward(self, x: Array, alpha: float) -> Array:
        """x where x > 0, else alpha * (exp(x) - 1), without cancellation near 0. alpha positive."""

    def elu_backward(self, dy: Array, y: Array, alpha: float) -> Array:
        """dy where y > 0, else dy * (y + alpha)."""

    def gelu_forward(self, x: Array) -> Array:
        """x * Phi(x), Phi the standard normal distribution: (1 + erf(x / sqrt(2))) / 2. 0 at -inf, its limit."""

    def gelu_backward(self, dy: Array, x: Array) -> Array:
        """dy * (Phi(x) + x * phi(x)), phi(x) = exp(-x^2 / 2) / sqrt(2 pi); dy * 0 at -inf, dy at inf."""

    def softplus_forward(self, x: Array) -> Array:
        """log(1 + exp(x)) = max(x, 0) + log1p(exp(-|x|)), without overflow; exp(x) far below 0."""

    def softplus_backward(self, dy: Array, y: Array) -> Array:
        """dy * (1 - exp(-y)), without cancellation near y = 0."""

    # ---- elementwise functions, arithmetic with broadcasting, axes ---------------------------------------------------

    def elementwise_forward(self, x: Array, kind: str, a: float, b: float) -> Array:
        """f(x) of a kind, with parameters a and b, rounded to x's dtype. A NaN stays a NaN, but for pow with a = 0.

            kind          f(x)                                      slope
            clip          min(max(x, a), b), a <= b                 1 where a <= x <= b, edges included
            hard_tanh     the same                                  1 where a < x < b
            hard_sigmoid  min(max(a x + b, 0), 1), a > 0            a where -b/a < x < (1 - b)/a
            hard_swish    x min(max(x + 3, 0), 6) / 6               x / 3 + 1/2 where -3 < x < 3, 1 from 3 on
            silu          x s(x), s(x) = 1 / (1 + exp(-x))          s(x) (1 + x (1 - s(x)))
            selu          b x where x > 0, else a b (exp(x) - 1)    b where x > 0, else a b exp(x)
            mish          x t(x), t(x) = tanh(log(1 + exp(x)))      t(x) + x (1 - t(x)^2) s(x)
            gelu_tanh     x s(2u), u = sqrt(2/pi) (x + k x^3)       s(2u) (1 + 2 x (1 - s(2u)) u'), k = 0.044715
            softsign      x / (1 + |x|)                             1 / (1 + |x|)^2
            exp           exp(x)                                    exp(x)
            log           log(x): -inf at 0, NaN below              1 / x
            sqrt          sqrt(x): NaN below 0                      1 / (2 sqrt(x))
            pow           x^a; NaN below 0 where a is not whole     a x^(a - 1), 0 for a = 0
            erf           2 / sqrt(pi) int_0^x exp(-t^2) dt         2 / sqrt(pi) exp(-x^2)
            abs           |x|                                       sign(x), that of a NaN is a NaN
            neg           -x                                        -1
            reciprocal    1 / x                                     -1 / x^2

        Slopes that are stated for some x are 0 elsewhere, and at NaN. At -inf and inf each is its limit. Nothing
        overflows on the way; results out of range are infinite.
        """

    def elementwise_backward(self, dy: Array, x: Array, kind: str, a: float, b: float) -> Array:
        """dy times the slope at x."""

    def arithmetic_forward(self, a: Operand, b: Operand, operator: str) -> Array:
        """a + b, a - b, a * b, a / b; or "prelu": a where a > 0, else a * b.

        Shapes have as many dimensions, 2 to 4, and equal sizes, but that a size of 1 goes with all sizes of the other
        one. One operand, or both, are Arrays, of equally many images; the other may be an ndarray (1, ...).
        """

    def arithmetic_backward(
        self, dy: Array, a: Operand, b: Operand, operator: str, need: tuple[bool, bool] = (True, True)
    ) -> tuple[Operand | None, Operand | None]:
        """-> da, db, each as its operand, or None where it is not needed: dy, dy; dy, -dy; dy b, dy a; dy / b,
        -dy (a / b) / b; of prelu dy, 0 where a > 0, else dy b, dy a. Summed over what was broadcast, also over images.
        """

    def reduce_forward(self, x: Array, kind: str, axes: tuple[int, ...]) -> Array:
        """The sum, mean or max over axes, some of 1 to x.ndim - 1 in order, which have the size 1 afterwards.

        An axis of a maximum is not empty; the first NaN wins over everything. The mean over nothing is 0.
        """

    def reduce_backward(
        self,
        dy: Array,
        kind: str,
        axes: tuple[int, ...],
        x_shape: tuple[int, ...],
        x: Array | None = None,
        y: Array | None = None,
    ) -> Array:
        """dx: dy everywhere; divided by their number for a mean; for "max", which takes x and y, at the first largest
        in row-major order, or first NaN, and 0 elsewhere.
        """

    def softmax_forward(self, x: Array, axes: tuple[int, ...], log: bool = False) -> Array:
        """y = exp(x - m) / sum exp(x - m), m the maximum, over axes, neighbours in order; log: its logarithm,
        x - m - log(sum exp(x - m)). None of the axes is empty. NaN where a value is NaN or inf, or all are -inf.
        """

    def softmax_backward(self, dy: Array, y: Array, axes: tuple[int, ...], log: bool = False) -> Array:
        """dx = y (dy - sum dy y); log: dy - exp(y) sum dy."""

    # ---- normalisation and dropout -----------------------------------------------------------------------------------

    def batchnorm_forward(
        self,
        x: Array,
        gamma: np.ndarray,
        beta: np.ndarray,
        running_mean: np.ndarray,
        running_var: np.ndarray,
        momentum: float,
        eps: float,
        train: bool,
    ) -> tuple[Array, np.ndarray, np.ndarray]:
        """-> y, mean, inv_std, statistics per channel over N (and H, W): y = (x - mean) * inv_std * gamma + beta.

        train: mean and population variance of the batch; running = momentum * running + (1 - momentum) * batch, in
        place. Else mean and variance are the running ones, left alone. inv_std = 1 / sqrt(var + eps). With N*H*W = 0 in
        train, nothing is updated and the statistics are 0 and 1/sqrt(eps).
        """

    def batchnorm_backward(
        self,
        dy: Array,
        x: Array,
        gamma: np.ndarray,
        mean: np.ndarray,
        inv_std: np.ndarray,
        train: bool = True,
        out: tuple[np.ndarray, np.ndarray] | None = None,
    ) -> tuple[Array, np.ndarray, np.ndarray]:
        """-> dx, dgamma, dbeta. With xhat = (x - mean) * inv_std and M = N*H*W: dgamma = sum dy*xhat, dbeta = sum dy,
        dx = gamma * inv_std * (dy - dbeta/M - xhat * dgamma/M); without `train` the statistics are constants:
        dx = gamma * inv_std * dy.
        """

    def groupnorm_forward(
        self, x: Array, gamma: np.ndarray, beta: np.ndarray, groups: int, eps: float
    ) -> tuple[Array, Array, Array]:
        """-> y, mean, inv_std (N, groups): y = (x - mean) * inv_std * gamma + beta.

        x (N, C, H, W) or (N, C), C divisible by groups; gamma, beta (C,). Mean and population variance of each image's
        C/groups neighbouring channels, in training and inference alike; inv_std = 1 / sqrt(var + eps).
        """

    def groupnorm_backward(
        self,
        dy: Array,
        x: Array,
        gamma: np.ndarray,
        mean: Array,
        inv_std: Array,
        out: tuple[np.ndarray, np.ndarray] | None = None,
    ) -> tuple[Array, np.ndarray, np.ndarray]:
        """-> dx, dgamma, dbeta. With xhat = (x - mean) * inv_std, g = dy * gamma and M the mean over a group:
        dgamma = sum dy*xhat and dbeta = sum dy over N, H, W; dx = inv_std * (g - M(g) - xhat * M(g*xhat)).
        """

    def layernorm_forward(
        self, x: Array, gamma: np.ndarray, beta: np.ndarray, eps: float
    ) -> tuple[Array, Array, Array]:
        """-> y, mean, inv_std (N, R): y = (x - mean) * inv_std * gamma + beta.

        gamma, beta have the shape of x's last dimensions, at most all but N: mean and population variance are taken
        over these, once for each of the R places in the dimensions before them (R = 1 for none).
        """

    def layernorm_backward(
        self,
        dy: Array,
        x: Array,
        gamma: np.ndarray,
        mean: Array,
        inv_std: Array,
        out: tuple[np.ndarray, np.ndarray] | None = None,
    ) -> tuple[Array, np.ndarray, np.ndarray]:
        """-> dx, dgamma, dbeta as groupnorm_backward; dgamma and dbeta are sums over N and the R places."""

    def local_response_forward(self, x: Array, size: int, alpha: float, beta: float, k: float) -> Array:
        """y[n,c] = x[n,c] / s[n,c]^beta, s[n,c] = k + alpha/size * the sum of x^2 over channels c - size // 2 up to
        c + (size - 1) // 2, as far as there are such. x (N, C, H, W); k positive, alpha and beta not negative.
        """

    def local_response_backward(self, dy: Array, x: Array, size: int, alpha: float, beta: float, k: float) -> Array:
        """dx[c] = dy[c] / s[c]^beta - 2 alpha beta/size x[c] * the sum of dy x / s^(beta + 1) over the channels that c
        is summed for: c - (size - 1) // 2 up to c + size // 2.
        """

    def dropout_forward(self, x: Array, rate: float, key: int) -> Array:
        """x / (1 - rate) where the element is kept, else 0 (inverted dropout).

        Kept or not depends on (key, the element's row-major index i in (N, ...)) alone:
        `kernels.counter_random.keep_mask`. key is a uint64.
        """

    def dropout_backward(self, dy: Array, rate: float, key: int) -> Array:
        """The same mask and factor applied to dy."""

    # ---- capsules: (N, I, D) is I vectors of D values for each image -------------------------------------------------

    def squash_forward(self, x: Array, dim: int) -> Array:
        """Capsules of `dim` values out of maps, squashed: (N, T*dim, H, W) -> (N, T*H*W, dim).

        y[n, (t*H + h)*W + w] = squash(s), s[d] = x[n, t*dim + d, h, w], squash(s) = s |s| / (1 + |s|^2). An x (N, F)
        counts as maps of one pixel.
        """

    def squash_backward(self, dy: Array, x: Array, dim: int) -> Array:
        """ds = dy |s| / (1 + |s|^2) + s (s . dy) (1 - |s|^2) / (|s| (1 + |s|^2)^2), 0 where s = 0; dx of x's shape."""

    def capsules_forward(self, u: Array, w: np.ndarray, routings: int) -> tuple[Array, Any]:
        """Routing by agreement -> v, saved (opaque, for the backward function).

        u (N, I, D), w (I, J, E, D) -> v (N, J, E). Votes a[i,j] = w[i,j] u[i]; logits b[i,j] = 0; then `routings` times
        c[i] = softmax over j of b[i], s[j] = sum_i c[i,j] a[i,j], v[j] = squash(s[j]), and, but for the last time,
        b[i,j] += a[i,j] . v[j].
        """

    def capsules_backward(
        self,
        dv: Array,
        saved: Any,
        u: Array,
        w: np.ndarray,
        routings: int,
        need_dx: bool = True,
        out: np.ndarray | None = None,
    ) -> tuple[Array | None, np.ndarray]:
        """-> du (None unless need_dx), dw (`out`, if given): the whole gradient, through all passes' couplings."""

    def capsule_length_forward(self, v: Array) -> Array:
        """(N, J, E) -> (N, J): y = |v|, the square root of the sum of squares."""

    def capsule_length_backward(self, dy: Array, v: Array, y: Array) -> Array:
        """dv = dy v / y, 0 where y = 0."""

    def capsule_mask(self, v: Array, labels: np.ndarray) -> Array:
        """Zero in all capsules of v (N, J, E) but labels[n], (N,) intp in [0, J). Its own backward function."""

    # ---- boxes of images, and images of another size -----------------------------------------------------------------

    def boxes_forward(
        self, xs: tuple[Array, ...], shape: tuple[int, ...], boxes: np.ndarray, fill: float = 0.0
    ) -> Array:
        """Strided boxes of the images of xs, side by side: y (N, *shape).

        xs: at least one array of N images, of any shapes. boxes: a table, intp, as `minidl.kernels.boxes` says; each
        value of y is given at most once. What no box gives is `fill`. Numbers come through as they are, a NaN too.
        """

    def boxes_backward(self, dy: Array, x_shape: tuple[int, ...], boxes: np.ndarray, source: int = 0) -> Array:
        """dx of xs[source]: each dy added where it came from; what came from nowhere is lost."""

    def resize_forward(self, x: Array, rows: Taps, columns: Taps) -> Array:
        """x (N, C, H, W) -> (N, C, OH, OW), each row and each column a weighted sum of a few: with rows = r, u and
        columns = c, v

        y[n,c,oh,ow] = sum_{i,j} u[oh,i] v[ow,j] x[n, c, r[oh,i], c[ow,j]]. Indices are in [0, H) and [0, W). A weight
        of 0 counts nothing, whatever stands there.
        """

    def resize_backward(self, dy: Array, x_shape: tuple[int, ...], rows: Taps, columns: Taps) -> Array:
        """dx: u[oh,i] v[ow,j] dy[n,c,oh,ow] added at (r[oh,i], c[ow,j])."""

    # ---- losses: value and gradient in one pass ----------------------------------------------------------------------
    #
    # Means over the rows: sum_n w[n] l[n] / sum_n w[n], l[n] the loss of row n. weight w: (N,) of the logits' dtype, at
    # least 0; None: 1 for each. A row of weight 0 counts nothing, whatever it holds. Where the weights' sum is 0, or N,
    # the loss is 0 and the gradient too.

    def softmax_cross_entropy(
        self,
        logits: Array,
        target: np.ndarray,
        smoothing: float = 0.0,
        weight: np.ndarray | None = None,
        class_weight: np.ndarray | None = None,
    ) -> tuple[float, Array, float]:
        """-> loss, dlogits, correct.

        l[n] = -sum_k t[n,k] log softmax(logits)[n,k], dlogits[n] = (softmax * sum_k t - t) * w[n] / sum w.
        target: (N,) intp class indices in [0, K), or (N, K) of the logits' dtype (one-hot or probabilities).
        smoothing s: t -> (1 - s) t + s/K. class_weight c: (K,) like the logits, at least 0: t[n,k] -> c[k] t[n,k], and
        for class indices sum w is that of w[n] c[target[n]]. correct: rows whose first largest logit is at the first
        largest target, as it was given, an int; with weight the sum of their weights. A row with a NaN is never
        correct. The softmax is shifted by its maximum. Where t = 0 the logarithm counts nothing, even at a logit of
        -inf.
        """

    def sigmoid_cross_entropy(
        self,
        logits: Array,
        target: np.ndarray,
        weight: np.ndarray | None = None,
        pos_weight: np.ndarray | None = None,
    ) -> tuple[float, Array, float]:
        """-> loss, dlogits, correct. x = logits (N, K), t = target, an ndarray like x with values in [0, 1]:

        l[n] = 1/K sum_k (1 - t) log(1 + exp(x)) + p[k] t log(1 + exp(-x)), without overflow;
        dx = ((1 - t) sigmoid(x) - p[k] t sigmoid(-x)) * w[n] / (K sum w). pos_weight p: (K,) like x; None: 1 for each.
        Where a factor is 0 the logarithm counts nothing. correct: how many of the N K decisions x > 0 are t >= 0.5, an
        int; with weight each counts its row's. A NaN is never correct.
        """

    def mse_loss(
        self, x: Array, target: np.ndarray, weight: np.ndarray | None = None, mean: bool = False
    ) -> tuple[float, Array]:
        """-> loss, dx. l[n] = 1/2 sum (x - target)^2, dx = (x - target) * w[n] / sum w. target: ndarray like x.

        mean: l[n] is the mean of the row's (x - target)^2 instead, 2/F times that of F values; so is dx.
        """

    def l1_loss(self, x: Array, target: np.ndarray, weight: np.ndarray | None = None) -> tuple[float, Array]:
        """-> loss, dx. l[n]: mean over the row's F values of |x - target|; dx = sign(x - target) * w[n] / (F sum w).

        sign(0) = 0, and that of a NaN is a NaN.
        """

    def huber_loss(
        self, x: Array, target: np.ndarray, delta: float = 1.0, weight: np.ndarray | None = None
    ) -> tuple[float, Array]:
        """-> loss, dx. With d = x - target and g = d clipped to [-delta, delta]: l[n] is the mean over the row's F
        values of g (d - g/2), that is d^2/2 up to delta and delta (|d| - delta/2) beyond; dx = g * w[n] / (F sum w).
        """

    def margin_loss(
        self,
        lengths: Array,
        target: np.ndarray,
        present: float = 0.9,
        absent: float = 0.1,
        weight: float = 0.5,
        row_weight: np.ndarray | None = None,
    ) -> tuple[float, Array, float]:
        """-> loss, dlengths, correct.

        l[n] = sum_k t max(0, present - x)^2 + weight (1 - t) max(0, x - absent)^2 with x = lengths[n,k] and
        t = target[n,k]. row_weight: w. target and correct: as in `softmax_cross_entropy`.
        """

    def squared_error(
        self, x: Array, target: Array, scale: float, weight: np.ndarray | None = None
    ) -> tuple[float, Array]:
        """-> loss, dx. l[n] = scale sum (x - target)^2, dx = 2 scale (x - target) * w[n] / sum w. target: like x."""

    # ---- matrix form of a convolution (always plain NCHW ndarrays) ---------------------------------------------------

    def im2col(self, x: np.ndarray, kernel_size: Pair, stride: Pair, padding: Padding, dilation: Pair) -> np.ndarray:
        """(N, C, H, W) -> (C*KH*KW, N*OH*OW): column n*OH*OW + oh*OW + ow holds the window of output (n, oh, ow)."""

    def col2im(
        self,
        cols: np.ndarray,
        x_shape: tuple[int, ...],
        kernel_size: Pair,
        stride: Pair,
        padding: Padding,
        dilation: Pair,
    ) -> np.ndarray:
        """The adjoint of im2col: every entry of cols added to the place that it came from."""

    # ---- optimiser updates, in place on plain ndarrays of one shape; g = scale * grad + weight_decay * p -------------

    def sgd_update(
        self,
        p: np.ndarray,
        grad: np.ndarray,
        velocity: np.ndarray | None,
        lr: float,
        momentum: float,
        weight_decay: float,
        nesterov: bool = False,
        scale: float = 1.0,
    ) -> None:
        """v = momentum * v + g; p -= lr * v (Nesterov: p -= lr * (g + momentum * v)). velocity None: p -= lr * g."""

    def rmsprop_update(
        self,
        p: np.ndarray,
        grad: np.ndarray,
        square: np.ndarray,
        lr: float,
        decay: float,
        eps: float,
        weight_decay: float,
        scale: float = 1.0,
    ) -> None:
        """s = decay * s + (1 - decay) g^2; p -= lr * g / (sqrt(s) + eps)."""

    def adam_update(
        self,
        p: np.ndarray,
        grad: np.ndarray,
        m: np.ndarray,
        v: np.ndarray,
        step: int,
        lr: float,
        beta1: float,
        beta2: float,
        eps: float,
        weight_decay: float,
        decoupled: bool = False,
        scale: float = 1.0,
    ) -> None:
        """m = beta1 m + (1-beta1) g; v = beta2 v + (1-beta2) g^2;
        p -= lr * (m / (1-beta1^step)) / (sqrt(v / (1-beta2^step)) + eps).

        decoupled (AdamW): g = scale * grad, and p is first multiplied by 1 - lr * weight_decay. step counts from 1.
        """

    def blend(self, a: np.ndarray, b: np.ndarray, share: float) -> None:
        """a += share * (b - a): a step of a running average."""

    def sum_of_squares(self, a: np.ndarray) -> float:
        """Sum of a^2 over all elements, added in float64; 0 for an empty array. No float32's square overflows."""

    # ---- blocks: neighbours merged, results equal to the plain operations one after the other ------------------------

    def conv_block_forward(
        self,
        x: Array,
        w: np.ndarray,
        b: np.ndarray | None,
        stride: Pair,
        padding: Padding,
        dilation: Pair,
        groups: int,
        relu: bool,
        pool: Pool | None,
    ) -> tuple[Array, Any]:
        """conv2d, then relu if asked, then pooling if asked -> y, saved (opaque, for the backward function)."""

    def conv_block_backward(
        self,
        dy: Array,
        saved: Any,
        x: Array,
        w: np.ndarray,
        stride: Pair,
        padding: Padding,
        dilation: Pair,
        groups: int,
        relu: bool,
        pool: Pool | None,
        need_dx: bool = True,
        out: tuple[np.ndarray, np.ndarray | None] | None = None,
    ) -> tuple[Array | None, np.ndarray, np.ndarray | None]:
        """-> dx, dw, db as conv2d_backward."""

    def norm_block_forward(
        self,
        x: Array,
        gamma: np.ndarray,
        beta: np.ndarray,
        running_mean: np.ndarray,
        running_var: np.ndarray,
        momentum: float,
        eps: float,
        train: bool,
        relu: bool,
        pool: Pool | None,
    ) -> tuple[Array, Any]:
        """batchnorm, then relu if asked, then pooling if asked -> y, saved."""

    def norm_block_backward(
        self,
        dy: Array,
        saved: Any,
        x: Array,
        gamma: np.ndarray,
        train: bool,
        relu: bool,
        pool: Pool | None,
        out: tuple[np.ndarray, np.ndarray] | None = None,
    ) -> tuple[Array, np.ndarray, np.ndarray]:
        """-> dx, dgamma, dbeta as batchnorm_backward."""

    def add_block_forward(self, a: Array, b: Array) -> Array:
        """relu(a + b), equal shapes, -> y; the gradient of both is `relu_backward(dy, y)`."""

    def linear_block_forward(self, x: Array, w: np.ndarray, b: np.ndarray | None) -> Array:
        """relu(linear) -> y; y is all that the backward function needs."""

    def linear_block_backward(
        self,
        dy: Array,
        y: Array,
        x: Array,
        w: np.ndarray,
        need_dx: bool = True,
        out: tuple[np.ndarray, np.ndarray | None] | None = None,
    ) -> tuple[Array | None, np.ndarray, np.ndarray | None]:
        """-> dx, dw, db as linear_backward."""
