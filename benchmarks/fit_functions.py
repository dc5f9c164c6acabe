"""Where the coefficients in `tinygrad_rnn/kernels/formats.py` come from: `python -m benchmarks.fit_functions`.

Remez's exchange in 50 digits. A best approximation errs by equal amounts with alternating signs; so guess where, solve
for the coefficients and that amount, look for where the error is largest, and repeat. A quotient P/Q is linear in its
coefficients once the amount is known, which a few repetitions find. Errors are relative to the function that is
computed in the end, hence the weights. (E. Y. Remez, 1934; W. Fraser and J. F. Hart, 1962, for quotients.)
"""

from collections.abc import Callable, Sequence

import mpmath as mp

from tinygrad_rnn.kernels.formats import DOUBLE, SINGLE, Format

Function = Callable[[mp.mpf], mp.mpf]


def fit(f: Function, weight: Function, low: float, high: float, p: int, q: int = 0,
        place: Function = lambda t: t) -> tuple[list[mp.mpf], list[mp.mpf], mp.mpf]:
    """P (degree p) over Q (degree q, beginning with 1) for f on place([low, high]), and the weighted error.

    `place` says where the points stand closer: it maps evenly important ones to arguments of f.
    """
    unknowns = p + q + 2
    grid = [place(mp.mpf(low) + (mp.mpf(high) - low) * (1 - mp.cos(mp.pi * k / (50 * unknowns))) / 2)
            for k in range(50 * unknowns + 1)]
    known = [(x, f(x), weight(x)) for x in grid]
    points = [known[(2 * k + 1) * 25] for k in range(unknowns)]
    best: tuple[list[mp.mpf], list[mp.mpf], mp.mpf] | None = None
    for _ in range(25):
        amount = mp.mpf(0)
        for _ in range(12 if q else 1):
            rows, right = [], []
            for i, (x, y, w) in enumerate(points):
                sign = (-1) ** i / w
                shifted = y + sign * amount
                rows.append([*(x**k for k in range(p + 1)), *(-shifted * x**k for k in range(1, q + 1)), -sign])
                right.append(y)
            *coefficients, amount = mp.lu_solve(mp.matrix(rows), mp.matrix(right))
        P, Q = coefficients[:p + 1], [mp.mpf(1), *coefficients[p + 1:]]
        errors = [w * (mp.polyval(P[::-1], x) / mp.polyval(Q[::-1], x) - y) for x, y, w in known]
        largest = max(map(abs, errors))
        if best is None or largest < best[2]:
            best = P, Q, largest
        extremes: list[tuple[mp.mpf, tuple[mp.mpf, mp.mpf, mp.mpf]]] = []   # the worst point of every run of one sign
        for error, point in zip(errors, known):
            if extremes and (extremes[-1][0] > 0) == (error > 0):
                extremes[-1] = max(extremes[-1], (error, point), key=lambda pair: abs(pair[0]))
            else:
                extremes.append((error, point))
        while len(extremes) > unknowns:
            extremes.pop(0 if abs(extremes[0][0]) < abs(extremes[-1][0]) else -1)
        if len(extremes) < unknowns or largest < 1.001 * min(abs(error) for error, _ in extremes):
            break
        points = [point for _, point in extremes]
    assert best is not None
    return best


def series(f: Function, terms: Callable[[int], mp.mpf], near: float = 0.01) -> Function:
    """f, by its power series near 0, where its formula cancels."""
    return lambda x: mp.fsum(terms(k) * x**k for k in range(30)) if abs(x) < near else f(x)


def divided(f: Function) -> Function:
    """A formula of x^2 that is written with x."""
    return lambda square: f(mp.sqrt(square))


def tables(c: Format) -> list[tuple[str, Sequence[float], list[mp.mpf], mp.mpf]]:
    """(name, coefficients in use, coefficients found, relative error) for one format."""
    result = []

    def add(name: str, used: Sequence[float], f: Function, weight: Function, low: float, high: float) -> None:
        P, _, error = fit(f, weight, low, high, len(used) - 1)
        result.append((name, used, P, error))

    half = mp.log(2) / 2 * mp.mpf("1.001")
    add("expm1", c.expm1, series(lambda r: (mp.expm1(r) - r) / r**2, lambda k: 1 / mp.factorial(k + 2)),
        lambda r: abs(r * r / mp.expm1(r)) if r else mp.mpf("1e-9"), -half, half)
    s = (mp.sqrt(2) - 1) / (mp.sqrt(2) + 1)
    add("log", c.log,
        series(divided(lambda s: (2 * mp.atanh(s) / s - 2) / s**2), lambda k: mp.mpf(2) / (2 * k + 3), 1e-6),
        lambda z: z / 2 + mp.mpf("1e-12"), 0, s**2 * mp.mpf("1.002"))
    erf = series(divided(lambda x: mp.erf(x) / x),
                 lambda k: 2 / mp.sqrt(mp.pi) * (-1) ** k / (mp.factorial(k) * (2 * k + 1)), 1e-6)
    add("erf", c.erf, erf, lambda z: 1 / erf(z), 0, 1)
    quarter = (mp.pi / 4 * mp.mpf("1.01")) ** 2
    add("sin", c.sin,
        series(divided(lambda r: (mp.sin(r) - r) / r**3), lambda k: (-1) ** (k + 1) / mp.factorial(2 * k + 3)),
        lambda z: z + mp.mpf("1e-12"), 0, quarter)
    add("cos", c.cos,
        series(divided(lambda r: (mp.cos(r) - 1 + r**2 / 2) / r**4), lambda k: (-1) ** k / mp.factorial(2 * k + 4)),
        lambda z: z**2 + mp.mpf("1e-12"), 0, quarter)

    add("asin", c.asin,
        series(divided(lambda x: (mp.asin(x) - x) / x**3),
               lambda k: mp.binomial(2 * k + 2, k + 1) / (mp.mpf(4) ** (k + 1) * (2 * k + 3)), 1e-4),
        lambda z: z + mp.mpf("1e-12"), 0, mp.mpf("0.2501"))
    add("atan", c.atan,
        series(divided(lambda t: (mp.atan(t) - t) / t**3), lambda k: mp.mpf(-1) ** (k + 1) / (2 * k + 3), 1e-4),
        lambda z: z + mp.mpf("1e-12"), 0, (mp.tan(mp.pi / 8) * mp.mpf("1.001")) ** 2)

    slope, tiny = mp.sqrt(2 * mp.pi), mp.mpf("1e-25")

    def inverse(x: mp.mpf) -> mp.mpf:
        return 2 / (mp.exp(x * x / 2) * mp.erfc(x / mp.sqrt(2)))

    P, Q, error = fit(lambda x: (inverse(x) - 2) / x - slope if x > tiny else 4 / slope - slope,
                      lambda x: (x + mp.mpf("1e-9")) / inverse(x), -1, 1 - 2 / (1 - mp.mpf(c.gelu_low)),
                      len(c.hazard[0]) - 1, len(c.hazard[1]) - 1, lambda t: (1 + t) / (1 - t))
    result += [("hazard, numerator", c.hazard[0], P, error), ("hazard, denominator", c.hazard[1], Q, error)]
    return result


def main() -> None:
    """Print every table, beside what is in use."""
    mp.mp.dps = 50
    for name, c in (("float32", SINGLE), ("float64", DOUBLE)):
        for table, used, found, error in tables(c):
            print(f"{name} {table}: relative error 2^{mp.nstr(mp.log(error, 2), 4)}")
            for a, b in zip(used, found):
                print(f"    {a!r:28} {float(b)!r:28}")


if __name__ == "__main__":
    main()
