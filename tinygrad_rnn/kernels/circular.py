"""The mathematics of angles and hyperbolas: circular and hyperbolic functions and their inverses, as in `functions.py`.

Formulas: M. Abramowitz and I. A. Stegun, Handbook of Mathematical Functions, 1964, 4.3 to 4.6.
"""
from .formats import Format
from .functions import format_of, log_of_sum, power_of_two, reduced_exp, scaled
from .llvm import Lanes, V

TWO_OVER_PI = 0.6366197723675814
TAN_1_8, TAN_3_8 = 0.41421356237309503, 2.414213562373095   # of pi/8 and 3 pi/8

# ---- circular functions --------------------------------------------------------------------------------------------
# x = n pi/2 + r with |r| <= pi/4: the quadrant n mod 4 says which of +-sin r, +-cos r it is.


def quarter_turns(x: V) -> tuple[V, Lanes]:
    """(r, n), good for |x| <= sine_high."""
    f = format_of(x)
    shifted = x.fma(TWO_OVER_PI, f.magic)
    n, r = shifted - f.magic, x
    for part in f.half_pi:
        r = n.fma(-part, r)
    return r, shifted.as_int()


def sine_and_cosine(r: V) -> tuple[V, V]:
    """(sin r, cos r) for |r| <= pi/4."""
    f = format_of(r)
    square = r * r
    sine = (r * square).fma(square.polynomial(f.sin), r)
    return sine, (square * square).fma(square.polynomial(f.cos), 1 - 0.5 * square)


def circular(r: V, quadrant: Lanes) -> V:
    """sin(r), cos(r), -sin(r), -cos(r) for quadrants 0, 1, 2, 3."""
    sine, cosine = sine_and_cosine(r)
    value = ((quadrant & 1) == 0).select(sine, cosine)
    return (value.as_int() ^ ((quadrant & 2) << (8 * r.dtype.itemsize - 2))).as_float()


def sin(x: V) -> V:
    """Sine; x in radians, |x| <= sine_high, NaN beyond."""
    f = format_of(x)
    result = (abs(x) < f.tiny).select(x, circular(*quarter_turns(x)))
    return (abs(x) <= f.sine_high).select(result, float("nan"))


def cos(x: V) -> V:
    """Cosine; x in radians, |x| <= sine_high, NaN beyond."""
    r, n = quarter_turns(x)
    return (abs(x) <= format_of(x).sine_high).select(circular(r, n + 1), float("nan"))


def tan(x: V) -> V:
    """Tangent; x in radians, |x| <= sine_high, NaN beyond."""
    f = format_of(x)
    r, n = quarter_turns(x)
    sine, cosine = sine_and_cosine(r)
    even = (n & 1) == 0         # else tan(r + pi/2) = -1 / tan(r)
    value = even.select(sine, -cosine) / even.select(cosine, sine)
    value = (abs(x) < f.tiny).select(x, value)
    return (abs(x) <= f.sine_high).select(value, float("nan"))


def half_pi(f: Format, times: float, minus: V) -> V:
    """times pi/2 - minus."""
    return times * f.half_pi[0] - (minus - times * f.half_pi[1])


def arc(x: V) -> V:
    """asin(x) for |x| <= 1/2."""
    square = x * x
    return (x * square).fma(square.polynomial(format_of(x).asin), x)


# Beyond 1/2 the half angle: acos(x) = 2 asin(sqrt((1 - x) / 2)).


def asin(x: V) -> V:
    """The angle in [-pi/2, pi/2] whose sine is x; NaN beyond 1."""
    a = abs(x)
    inner = a <= 0.5
    part = arc(inner.select(a, (0.5 * (1 - a)).sqrt()))
    value = inner.select(part, half_pi(format_of(x), 1.0, 2 * part)).copysign(x)
    return (a < format_of(x).tiny).select(x, value)


def acos(x: V) -> V:
    """The angle in [0, pi] whose cosine is x; NaN beyond 1."""
    f, a = format_of(x), abs(x)
    inner = a <= 0.5
    part = arc(inner.select(x, (0.5 * (1 - a)).sqrt()))
    outer = (x < 0).select(half_pi(f, 2.0, 2 * part), 2 * part)
    return inner.select(half_pi(f, 1.0, part), outer)


def atan(x: V) -> V:
    """The angle in (-pi/2, pi/2) whose tangent is x."""
    f, a = format_of(x), abs(x)
    # atan(a) = pi/4 + atan((a - 1) / (a + 1)) = pi/2 - atan(1 / a)
    far, near = a > TAN_3_8, a < TAN_1_8
    t = far.select(-1.0, near.select(a, a - 1)) / far.select(a, near.select(1.0, a + 1))
    square = t * t
    part = (t * square).fma(square.polynomial(f.atan), t)
    value = near.select(part, far.select(half_pi(f, 1.0, -part), half_pi(f, 0.5, -part)))
    return (a < f.tiny).select(x, value.copysign(x))


# ---- hyperbolic functions --------------------------------------------------------------------------------------------
# With e = e^|x| / 2, which must not be infinite before it is needed.


def sinh(x: V) -> V:
    """(e^x - e^-x) / 2, accurate near 0: with e = (e^|x| - 1) / 2 it is e + e / (2 e + 1)."""
    f, a = format_of(x), abs(x)
    m, n = reduced_exp(a.clip(0.0, f.exp_range[1] + 0.5))
    quarter = power_of_two(x, n - 2)    # 2^n itself may not be a number, nor its half
    e = 2 * quarter.fma(m, quarter - 0.25)
    value = (e < float("inf")).select(e + e / (2 * e + 1), e)
    return (a < f.tiny).select(x, value.copysign(x))


def cosh(x: V) -> V:
    """(e^x + e^-x) / 2."""
    m, n = reduced_exp(abs(x).clip(0.0, format_of(x).exp_range[1] + 0.5))
    e = scaled(1 + m, n - 1)
    return e + 0.25 / e


def asinh(x: V) -> V:
    """log(x + sqrt(x^2 + 1)), accurate near 0."""
    f, a = format_of(x), abs(x)
    far = a > f.large
    b = far.select(1.0, a)      # whose square is a number
    u = far.select(a, b + b * b / (1 + (b * b + 1).sqrt()))
    value = log_of_sum(u, far.select(1.0, x.wrap(0.0)))
    return (a < f.tiny).select(x, value.copysign(x))


def acosh(x: V) -> V:
    """log(x + sqrt(x^2 - 1)), accurate near 1; NaN below."""
    far = x > format_of(x).large
    t = x - 1
    b = far.select(1.0, t)
    u = far.select(x, b + (b * (b + 2)).sqrt())
    value = log_of_sum(u, far.select(1.0, x.wrap(0.0)))
    return (x < 1).select(float("nan"), value)


def atanh(x: V) -> V:
    """log((1 + x) / (1 - x)) / 2, accurate near 0; infinite at 1, NaN beyond."""
    a = abs(x)
    value = 0.5 * log_of_sum(2 * a / (1 - a))
    return (a < format_of(x).tiny).select(x, value.copysign(x))
