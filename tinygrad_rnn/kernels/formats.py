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
    expm1=(0.4999999814311238, 0.16666543176800233, 0.04166720206735151, 0.008366580499073673,
           0.001388249310820609),
    log=(0.6666677706157225, 0.39977448689559714, 0.2987443840183487),
    erf=(1.1283791657268292, -0.3761262582368373, 0.11283585142055534, -0.026853811673379135,
         0.005188327210657882, -0.0008010189599338953, 7.85384839886155e-05),
    hazard=((-0.9108591722109544, -0.6812112418662387, -0.24481689262512596, -0.04701857272430673,
             -0.004149406549873288),
            (1.0, 1.047858108979233, 0.5304695673474237, 0.15508881097718016, 0.026111250792749695,
             0.0020746736103529903)),
    sin=(-0.16666654225452593, 0.008332131495385907, -0.00019510839034674596),
    cos=(0.04166664565302761, -0.0013887306047173748, 2.4431205176229397e-05),
)

DOUBLE = Format(
    mantissa=52, bias=1023, tiny=2.0**-1022, magic=1.5 * 2.0**52,
    magic_bits=0x4338000000000000, sqrt_half_bits=0x3FE6A09E667F3BCD,
    log2=(0.6931471805599453, 2.3190468138462996e-17),
    half_pi=(1.5707963267948966, 6.123233995736766e-17, -1.4973849048591698e-33),
    exp_range=(-746.0, 710.0), expm1_low=-38.0, tanh_high=19.5, erf_high=6.0, gelu_low=-39.0, gelu_tanh_low=-22.0,
    sine_high=2.0**30,
    gelu_tanh=(1.5957691216057308, -9.96930880911092e-17, 0.07135481627260025, -6.175149918155315e-19),
    expm1=(0.5, 0.16666666666666677, 0.041666666666666505, 0.008333333333321608, 0.0013888888888962923,
           0.00019841269886207788, 2.480158717180086e-05, 2.755724410440194e-06, 2.755740297520606e-07,
           2.5109081318503532e-08, 2.08753179853201e-09),
    log=(0.6666666666666735, 0.3999999999940749, 0.2857142874414268, 0.22222198378322186, 0.18183575173591163,
         0.1531375555813874, 0.14799068064526133),
    erf=(1.1283791670955126, -0.3761263890318375, 0.11283791670954857, -0.026866170645072896,
         0.005223977624780872, -0.0008548326978742394, 0.00012055331036903577, -1.4925593506949914e-05,
         1.6460972817739361e-06, -1.6350025229646525e-07, 1.4657879892961192e-08, -1.136566618748428e-09,
         5.945262190953146e-11),
    hazard=((-0.9108591530252697, -1.2503551238309092, -0.8527793974534505, -0.3713947363439421,
             -0.11271170240894941, -0.024608820192560634, -0.0038626704520791297, -0.0004214142754800231,
             -2.9188275597850414e-05, -9.905485025805698e-07),
            (1.0, 1.6727006184278814, 1.3853727468152146, 0.7347649477061465, 0.27388028759671523,
             0.07464372872761595, 0.01504621751226638, 0.0022180754543565154, 0.0002297761519886572,
             1.5214872019421602e-05, 4.95274251292553e-07)),
    sin=(-0.16666666666666627, 0.008333333333321286, -0.00019841269828870144, 2.7557313356009343e-06,
         -2.505070403787873e-08, 1.5893583780076836e-10),
    cos=(0.04166666666666659, -0.0013888888888872598, 2.4801587288491664e-05, -2.75573140564407e-07,
         2.0875681859981975e-09, -1.1357447611622128e-11),
)

FORMATS = {4: SINGLE, 8: DOUBLE}
