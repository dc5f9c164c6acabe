"""Recurrent cells: written as their equations, from which all else follows.

`Cell` is one, `catalogue` has those of the lectures and papers.  Their expression graph is public: `Graph`, `Symbol`,
`parse`; `register_step` lets equations call a primitive of your own, as `attend` is one.
"""

from .attention import attend, attend_additive, attentive, conditioned
from .catalogue import catalogue, references
from .cell import Cell
from .functions import register_step
from .graph import Graph, parse
from .symbols import Symbol

__all__ = ["Cell", "Graph", "Symbol", "attend", "attend_additive", "attentive", "catalogue", "conditioned", "parse",
           "references", "register_step"]
