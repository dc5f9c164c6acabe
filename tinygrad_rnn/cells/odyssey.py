"""What an LSTM can do without: the eight variants of "A search space odyssey" (Greff 2015), each one change.

Their vanilla LSTM is `lstm_peephole`; without peepholes (NP) it is `lstm`.
"""

from .lstm import PEEPHOLE
from .reference import Cited

GATES = "W(x, h_prev, i_prev, f_prev, o_prev)"


def _variant(short: str, what: str, *equations: str) -> Cited:
    return Cited(PEEPHOLE.but(*equations), f"Greff 2015, {short}: {what}")


CELLS: dict[str, Cited] = {
    "lstm_nig": _variant("NIG", "no input gate", "i = 1"),
    "lstm_nfg": _variant("NFG", "no forget gate", "f = 1"),
    "lstm_nog": _variant("NOG", "no output gate", "o = 1"),
    "lstm_niaf": _variant("NIAF", "no activation function of the input", "g = W(x, h_prev) + b"),
    "lstm_noaf": _variant("NOAF", "no activation function of the output", "h = o*c"),
    "lstm_cifg": _variant("CIFG", "input and forget gate coupled", "f = 1 - i"),
    "lstm_fgr": _variant("FGR", "full gate recurrence, every gate reads every gate's past",
                         f"i = sigmoid({GATES} + p*c_prev + b)", f"f = sigmoid({GATES} + p*c_prev + b(1))",
                         f"o = sigmoid({GATES} + p*c + b)"),
}
ALIASES: dict[str, str] = {}
