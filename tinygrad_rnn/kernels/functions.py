"""The mathematics: each elementwise function once, as straight-line arithmetic on the lanes of a vector.

`elementwise.py` makes array functions of them and the cell compiler traces the very same ones, so a function here
sees one value a lane, no memory, and no branch: both sides of a choice are computed and one is selected.

The pattern is always the same. An exact reduction brings the argument to a short interval, a polynomial or a rational
function fitted there (minimax in relative error, by `benchmarks/fit_functions.py`) does the work, and exact steps
bring the result back. Reductions keep what rounding would lose in a second number, so each function is within 4 ulp
of the true value wherever that is a normal number, in float32 and float64; `tests/kernels/test_elementwise.py`
measures it. Infinities and zeros with their sign come out as the limits say, NaN stays NaN, subnormal numbers are
kept.

Reductions: W. J. Cody and W. Waite, Software Manual for the Elementary Functions, 1980. Numbers in two parts: T. J.
Dekker, A floating-point technique for extending the available precision, 1971.
"""
from .formats import FORMATS, Format
from .llvm import Lanes, V

LOG2_E = 1.4426950408889634
SQRT_2, SQRT_2_PI = 1.4142135623730951, 2.5066282746310007


def format_of(x: V) -> Format:
    """The constants for the lanes of x."""
    return FORMATS[x.dtype.itemsize]


# ---- powers of e ---------------------------------------------------------------------------------------------------
# x = n log 2 + r with a whole n and |r| <= log(2)/2, so e^x = 2^n (1 + m) with m = e^r - 1 from a polynomial.


def reduced_exp(x: V, low: V | None = None, parts: int = 2) -> tuple[V, Lanes]:
    """(m, n) with e^(x + low) = 2^n (1 + m), |m| < 0.42; x within exp_range or so, log 2 in so many parts."""
    f = format_of(x)
    shifted = x.fma(LOG2_E, f.magic)
    n, r = shifted - f.magic, x
    for part in f.log2[:parts]:
        r = n.fma(-part, r)
    if low is not None:
        r = r + low
    m = (r * r).fma(r.polynomial(f.expm1), r)
    return m, shifted.as_int() - f.magic_bits


def power_of_two(like: V, n: Lanes) -> V:
    """2^n where that is a normal number."""
    f = format_of(like)
    return ((n + f.bias) << f.mantissa).as_float()


def scaled(x: V, n: Lanes) -> V:
    """2^n x, rounded at most once, also where it is subnormal, 0 or infinite; |n| up to twice the largest."""
    at_once = x.scale(n)
    if at_once is not None:
        return at_once
    half = n >> 1
    return x * power_of_two(x, half) * power_of_two(x, n - half)


def exp(x: V) -> V:
    """e^x."""
    m, n = reduced_exp(x.clip(*format_of(x).exp_range))
    return scaled(1 + m, n)


def expm1(x: V) -> V:
    """e^x - 1, accurate near 0."""
    f = format_of(x)
    m, n = reduced_exp(x.clip(f.expm1_low, f.exp_range[1]))
    half = power_of_two(x, n - 1)  # 2^n itself may not be a number
    return (abs(x) < f.tiny).select(x, 2 * half.fma(m, half - 0.5))


def tanh(x: V) -> V:
    """Hyperbolic tangent, (e^2x - 1) / (e^2x + 1)."""
    high = format_of(x).tanh_high
    # One part of log 2 is enough: the larger n, and with it the error of r, the less tanh depends on r.
    m, n = reduced_exp(2 * x.clip(-high, high), parts=1)
    power = power_of_two(x, n)
    e = power.fma(m, power - 1)
    return (e / (e + 2)).copysign(x)


def falling_exp(x: V) -> V:
    """e^-|x|, between 0 and 1."""
    f = format_of(x)
    m, n = reduced_exp((-abs(x)).clip(f.exp_range[0], 0.0))
    return scaled(1 + m, n)


def sigmoid(x: V) -> V:
    """The logistic function, 1 / (1 + e^-x), as e^x / (1 + e^x) below 0."""
    e = falling_exp(x)
    return (x < 0).select(e, 1.0) / (1 + e)


def silu(x: V) -> V:
    """x sigmoid(x); 0 at minus infinity (S. Elfwing et al., 2017)."""
    low = (-abs(x)).clip(1.1 * format_of(x).exp_range[0], 0.0)
    m, n = reduced_exp(low)
    # x joins before the power of two, which may take e^x below the normal numbers but not x e^x.
    return (x < 0).select(scaled(low.fma(m, low), n), x) / (1 + scaled(1 + m, n))


# ---- logarithms ----------------------------------------------------------------------------------------------------
# x = 2^k (1 + f) with 1 + f in [sqrt(1/2), sqrt(2)), and log(1 + f) = 2 atanh(s), s = f / (2 + f).


def split_exponent(x: V) -> tuple[V, Lanes]:
    """(1 + f, k) for a normal x > 0."""
    f = format_of(x)
    k = (x.as_int() - f.sqrt_half_bits) >> f.mantissa
    return (x.as_int() - (k << f.mantissa)).as_float(), k


def log_of_parts(f: V, k: V) -> V:
    """k log 2 + log(1 + f), the largest term last."""
    c = format_of(f)
    s = f / (2 + f)
    half, z = 0.5 * f * f, s * s
    return k.fma(c.log2[0], f - (half - s.fma(half + z * z.polynomial(c.log), k * c.log2[1])))


def limits_of_log(x: V, result: V) -> V:
    """What log is at 0, below, at infinity and for NaN."""
    infinity, nan = float("inf"), float("nan")
    result = (x > 0).select(result, (x == 0).select(-infinity, nan))
    return (x == infinity).select(infinity, result)


def log(x: V) -> V:
    """Natural logarithm; -inf at 0, NaN below."""
    f = format_of(x)
    subnormal = x < f.tiny
    significand, k = split_exponent(subnormal.select(x * 2.0**f.mantissa, x))
    return limits_of_log(x, log_of_parts(significand - 1, k.to_float() - subnormal.select(float(f.mantissa), 0.0)))


def log_of_sum(x: V, doublings: V | None = None) -> V:
    """log(1 + x), accurate near 0, plus so many times log 2; the tiny numbers aside."""
    u = 1 + x
    rounded = u - 1
    lost = (1 - (u - rounded)) + (x - rounded)  # 1 + x = u + lost, exactly
    significand, k = split_exponent(u)
    turns = k.to_float() if doublings is None else k.to_float() + doublings
    return limits_of_log(u, log_of_parts((significand - 1) + scaled(lost, 0 - k), turns))


def log1p(x: V) -> V:
    """log(1 + x), accurate near 0."""
    return (abs(x) < format_of(x).tiny).select(x, log_of_sum(x))


def softplus(x: V) -> V:
    """log(1 + e^x), as max(x, 0) + log(1 + e^-|x|)."""
    e = falling_exp(x)
    halved = e > SQRT_2 - 1  # then 1 + e = 2 (1 + f)
    log1p_e = log_of_parts(halved.select(0.5 * (e - 1), e), halved.select(1.0, x.wrap(0.0)))
    return log1p_e + (x < 0).select(0.0, x)


# ---- the normal distribution ---------------------------------------------------------------------------------------


def inverse_tail(x: V) -> V:
    """e^(-x^2/2) / Phi(-x) for x >= 0, as long as Phi(-x) is not 0: it goes from 2 to sqrt(2 pi) x."""
    numerator, denominator = format_of(x).hazard
    between = x.polynomial(numerator) / x.polynomial(denominator)
    return x.fma(SQRT_2_PI, x.fma(between, 2))


def erf(x: V) -> V:
    """The error function, 2/sqrt(pi) times the integral of e^(-t^2) from 0 to x."""
    f = format_of(x)
    a = abs(x).clip(0.0, f.erf_high)
    m, n = reduced_exp(-(a * a))
    outer = 1 - scaled(2 + 2 * m, n) / inverse_tail(a * SQRT_2)
    return (a < 1).select(x * (x * x).polynomial(f.erf), outer.copysign(x))


def normal_tail(x: V) -> tuple[V, Lanes, V]:
    """(t, n, m) with Phi(x) = 2^n t and e^(-x^2/2) = 2^n (1 + m), for x <= 0."""
    square = x * x
    lost = x.fma(x, -square)  # an error of 1 ulp in x^2 = 200 would be one of 100 ulp in e^(-x^2/2)
    m, n = reduced_exp(-0.5 * square, -0.5 * lost)
    return (1 + m) / inverse_tail(-x), n, m


def gelu(x: V) -> V:
    """x Phi(x), Phi the normal distribution; 0 at minus infinity (D. Hendrycks and K. Gimpel, 2016)."""
    low = (-abs(x)).clip(format_of(x).gelu_low, 0.0)
    tail, n, _ = normal_tail(low)
    return (x < 0).select(scaled(low * tail, n), x * (1 - scaled(tail, n)))


def gelu_tanh(x: V) -> V:
    """x e^y / (1 + e^y), y = 2 sqrt(2/pi) (x + 0.044715 x^3): the same paper's 0.5 x (1 + tanh(y/2))."""
    f = format_of(x)
    c, c_low, d, d_low = f.gelu_tanh
    low = (-abs(x)).clip(f.gelu_tanh_low, 0.0)
    # y = low (c + d low^2) = high + tail, which must be exact to more than one number's precision, as y enters e^y.
    square = low * low
    square_lost = low.fma(low, -square)
    product = d * square
    product_lost = square.fma(d, -product)
    factor = c + product
    rounded = factor - c
    small = product_lost + (d * square_lost + (d_low * square + c_low))
    factor_lost = (c - (factor - rounded)) + (product - rounded) + small
    high = low * factor
    tail = low.fma(factor, -high) + low * factor_lost
    m, n = reduced_exp(high, tail)
    e = scaled(1 + m, n)
    return (x < 0).select(scaled(low.fma(m, low), n), x) / (1 + e)


# ---- pieces --------------------------------------------------------------------------------------------------------


def relu(x: V) -> V:
    """max(x, 0) (V. Nair and G. Hinton, 2010)."""
    return (x < 0).select(0.0, x)


def rsqrt(x: V) -> V:
    """1 / sqrt(x); infinite at 0, NaN below."""
    return 1 / x.sqrt()


def hardsigmoid(x: V) -> V:
    """x + 3 between 0 and 6, over 6."""
    return (x + 3).clip(0.0, 6.0) / 6


def leaky_relu(x: V, slope: V) -> V:
    """x above 0, slope x below (A. Maas et al., 2013)."""
    return (x > 0).select(x, slope * x)


def elu(x: V, alpha: V) -> V:
    """x above 0, alpha (e^x - 1) below (D. Clevert et al., 2015)."""
    return (x > 0).select(x, alpha * expm1(x))


# ---- backward: the gradient of the argument from that of the result ------------------------------------------------


def tanh_backward(g: V, y: V) -> V:
    """g (1 - y^2), y = tanh(x)."""
    return g * (1 - y * y)


def sigmoid_backward(g: V, y: V) -> V:
    """g y (1 - y), y = sigmoid(x)."""
    return g * (y * (1 - y))


def relu_backward(g: V, y: V) -> V:
    """g where y = relu(x) > 0, else 0."""
    return (y > 0).select(g, 0.0)


def leaky_relu_backward(g: V, x: V, slope: V) -> V:
    """g above 0, slope g below."""
    return (x > 0).select(g, slope * g)


def elu_backward(g: V, x: V, y: V, alpha: V) -> V:
    """g above 0, g (y + alpha) below, y = elu(x)."""
    return (x > 0).select(g, g * (y + alpha))


def silu_backward(g: V, x: V) -> V:
    """g s (1 + x (1 - s)), s = sigmoid(x)."""
    s, far = sigmoid(x), -1.1 * format_of(x).exp_range[0]
    return g * (s * (1 + x.clip(-far, far) * (1 - s)))


def softplus_backward(g: V, x: V) -> V:
    """g sigmoid(x)."""
    return g * sigmoid(x)


def gelu_backward(g: V, x: V) -> V:
    """g (Phi(x) + x phi(x)), phi the normal density."""
    low = (-abs(x)).clip(format_of(x).gelu_low, 0.0)
    tail, n, m = normal_tail(low)
    below, density = scaled(tail, n), scaled(1 + m, n) * (1 / SQRT_2_PI)
    return g * (x < 0).select(low.fma(density, below), 1 - low.fma(density, below))
