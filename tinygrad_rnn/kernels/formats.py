"""What elementwise functions must know of a floating-point format: its bits, and polynomials good enough for it.

The coefficients are minimax fits in relative error, made by `benchmarks/fit_functions.py`.
"""
from dataclasses import dataclass


@dataclass(frozen=True)
class Format:
    """What depends on the floating-point format. `*_low` is what is lacking to the constant before it."""

    mantissa: int                   # bits after the binary point of a number in [1, 2)
    bias: int                       # of the exponent
    tiny: float                     # smallest normal number
    magic: float                    # adding it rounds to a whole number, whose bits are then the lowest of the sum
    magic_bits: int                 # of that number
    sqrt_half_bits: int             # of sqrt(1/2)
    log2: tuple[float, float]
    half_pi: tuple[float, float, float]
    exp_range: tuple[float, float]  # e^x is 0 below, infinite above
    expm1_low: float                # e^x - 1 is -1 below
    tanh_high: float                # tanh is 1 above
    erf_high: float                 # erf is 1 above
    gelu_low: float                 # gelu is 0 below
    gelu_tanh_low: float            # ... of its tanh form
    sine_high: float                # what the reduction of sin and cos is good for
    gelu_tanh: tuple[float, float, float, float]    # 2 sqrt(2/pi) and 0.044715 times that, each in two parts
    expm1: tuple[float, ...]        # (e^r - 1 - r) / r^2 in r, |r| <= log(2)/2
    log: tuple[float, ...]          # (log((1 + s)/(1 - s)) - 2s) / s^3 in s^2, |s| <= 0.1716
    erf: tuple[float, ...]          # erf(x) / x in x^2, |x| <= 1
    hazard: tuple[tuple[float, ...], tuple[float, ...]]     # (e^(-x^2/2) / Phi(-x) - 2) / x - sqrt(2 pi), a quotient
    sin: tuple[float, ...]          # (sin(r) - r) / r^3 in r^2, |r| <= pi/4
    cos: tuple[float, ...]          # (cos(r) - 1 + r^2/2) / r^4 in r^2


SINGLE = Format(
    mantissa=23, bias=127, tiny=2.0**-126, magic=1.5 * 2.0**23,
    magic_bits=0x4B400000, sqrt_half_bits=0x3F3504F3,
    log2=(0.6931471824645996, -1.9046542121259336e-09),
    half_pi=(1.5707963705062866, -4.371138828673793e-08, -1.7151245100058819e-15),
    exp_range=(-104.0, 89.0), expm1_low=-18.0, tanh_high=9.5, erf_high=4.0, gelu_low=-14.6, gelu_tanh_low=-11.2,
    sine_high=2.0**17,
    gelu_tanh=(1.5957691669464111, -4.534068054340423e-08, 0.07135481387376785, 2.3988324659995897e-09),
    expm1=(0.4999999814873936, 0.16666543165938458, 0.041667200809790916, 0.008366581474522832,
           0.0013882559111246936),
    log=(0.666667770556544, 0.3997744911545727, 0.2987443084765486),
    erf=(1.1283791657268232, -0.3761262582492003, 0.11283585154976807, -0.02685381219099736,
         0.005188328186418862, -0.0008010198262436548, 7.853877531619132e-05),
    hazard=((-0.9108591613166608, -0.6788982979201336, -0.24311083192656202, -0.04647030275619621,
             -0.0040670687270083885),
            (1.0, 1.0453186166555992, 0.5278357081728476, 0.15382826616036097, 0.025785443467965376,
             0.002033507013202235)),
    sin=(-0.1666665422383861, 0.008332131402546315, -0.0001951082805007517),
    cos=(0.041666645653432866, -0.0013887306059491857, 2.4431206111917786e-05),
)

DOUBLE = Format(
    mantissa=52, bias=1023, tiny=2.0**-1022, magic=1.5 * 2.0**52,
    magic_bits=0x4338000000000000, sqrt_half_bits=0x3FE6A09E667F3BCD,
    log2=(0.6931471805599453, 2.3190468138462996e-17),
    half_pi=(1.5707963267948966, 6.123233995736766e-17, -1.4973849048591698e-33),
    exp_range=(-746.0, 710.0), expm1_low=-38.0, tanh_high=19.5, erf_high=6.0, gelu_low=-39.0, gelu_tanh_low=-22.0,
    sine_high=2.0**30,
    gelu_tanh=(1.5957691216057308, -9.96930880911092e-17, 0.07135481627260025, -6.175149918155315e-19),
    expm1=(0.5, 0.16666666666666677, 0.041666666666666505, 0.008333333333321606, 0.0013888888888962862,
           0.00019841269886210626, 2.4801587171889942e-05, 2.7557244101742296e-06, 2.755740291231256e-07,
           2.510908219132111e-08, 2.0875335277902113e-09),
    log=(0.6666666666666735, 0.3999999999940746, 0.2857142874414593, 0.22222198378089608, 0.18183575183258044,
         0.153137553395941, 0.14799070125609387),
    erf=(1.1283791670955126, -0.3761263890318375, 0.11283791670954857, -0.026866170645072896,
         0.005223977624780882, -0.0008548326978743205, 0.00012055331036939958, -1.4925593507924919e-05,
         1.6460972834336436e-06, -1.6350025411018458e-07, 1.4657881127609024e-08, -1.1365670959028229e-09,
         5.945270194657818e-11),
    hazard=((-0.9108591530252697, -1.2533580350390654, -0.8566468184237327, -0.3738582878820276,
             -0.11370276710676303, -0.02488164362203326, -0.0039151437002578286, -0.0004283156302542243,
             -2.9760279255355957e-05, -1.0138364540861314e-06),
            (1.0, 1.6759974082753362, 1.3906076223845867, 0.7388664077098182, 0.27592145545705277,
             0.07534853732613886, 0.015220733981535383, 0.0022490798484714773, 0.0002336035698207269,
             1.5515467407648938e-05, 5.069182270451039e-07)),
    sin=(-0.16666666666666627, 0.008333333333321286, -0.00019841269828869875, 2.755731335595098e-06,
         -2.505070403190646e-08, 1.589358354776157e-10),
    cos=(0.04166666666666659, -0.0013888888888872598, 2.4801587288491976e-05, -2.7557314056511993e-07,
         2.087568186755992e-09, -1.1357447914989925e-11),
)

FORMATS = {4: SINGLE, 8: DOUBLE}
