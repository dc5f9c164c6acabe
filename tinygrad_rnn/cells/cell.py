"""A recurrent cell is its equations, as text.

    LSTM = Cell('''
        i = sigmoid(W(x, h_prev) + b)
        f = sigmoid(W(x, h_prev) + b(1))
        g = tanh(W(x, h_prev) + b)
        o = sigmoid(W(x, h_prev) + b)
        c = f*c_prev + i*g
        h = o*tanh(c)''')
    CIFG = LSTM.but("f = 1 - i")

The last row is the output.  `c_prev` is c one step earlier, and makes c a state.  `W(x, h_prev)` multiplies each
argument by a learned matrix of its own and sums; `b`, `p`, `s` are learned vectors of their row, `b(1)` starts at 1.
Everything else, step and derivatives, parameters and pictures, follows from the text.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from ..autograd import Tensor
from .change import change
from .definition import Definition
from .derivative import Adjoint, gradient
from .draw import draw
from .equations import equations, markdown
from .language import Text, read
from .numpy_source import numpy_source
from .sizes import Sizes, check_size
from .step import step
from .symbols import Symbol, leaf


class Cell(Definition):
    """A recurrent cell, defined by its equations.

    Parameters
    ----------
    text : str
        One row a line, `name = expression`, in any order; the last row is the output and a state.  ASCII, at most
        64 KiB.  Lines `name:`, `inputs:`, `widths:`, `constants:` say what the keywords below say; a keyword wins.
    inputs : str
        Names of the inputs, the first is the layer's x.
    widths : dict, optional
        {row or further input: int, or text over integers, D, H and constants, as "H//2"}; the others are H wide.
    name : str, optional
        For messages and files; does not count in a comparison.
    **constants : float, or sequence of H floats
        Read at run time, not learned.

    Attributes
    ----------
    name : str
    inputs : tuple of str
    rows : dict of str to Row, in the order of the text
    functions : dict of str to Function, those of the cell
    order : tuple of str
        The rows in the order in which they are computed.
    states : tuple of str
        What is carried from step to step: the output first, then as in the text; ("h", "h_prev", "c").
    carried : tuple of State
        The same as row and lag.
    output : str
        Name of the last row.
    parameters : dict of str to float or None
        Where each starts, None where the text does not say; in the order of `parameter_shapes`.
    flat : dict of str to Symbol
        Every row down to the leaves, functions expanded.
    whole : frozenset of str
        Inputs that a step primitive is handed as they are.
    graph : Graph

    Raises
    ------
    ValueError
        For text that is no cell; the message shows the line and says what is wrong.
    TypeError
        For an argument of the wrong type.
    """

    def __init__(self, text: str, *, inputs: str = "x", widths: Mapping[str, int | str] | None = None,
                 name: str | None = None, **constants: Any) -> None:
        found = read(text)
        if inputs != "x":
            found.inputs = _words(inputs)
        found.name = name if name is not None else found.name
        found.widths.update(_mapping(widths))
        found.constants.update(constants)
        super().__init__(found)

    @classmethod
    def defined(cls, text: Text, prune: bool) -> Cell:
        """A cell from lines already read; `prune` drops constants, inputs, functions and widths that nothing needs."""
        cell = cls.__new__(cls)
        Definition.__init__(cell, text, prune)
        return cell

    def but(self, *equations: str, name: str | None = None, inputs: str | None = None,
            widths: Mapping[str, int | str] | None = None, **constants: Any) -> Cell:
        """The same cell with some equations changed.

        Parameters
        ----------
        *equations : str
            "f = 1 - i" replaces the row or function f, or adds the row before the output; "f =" drops it.
        name, inputs, widths, **constants
            As in `Cell`; what is not given stays.  The name does not: a variant is another cell.

        Raises
        ------
        ValueError
            If a row to drop does not exist or is the output, if one is given twice, or if the result is no cell.
        """
        text = self.as_text()
        text.name = name
        change(text, equations)
        if inputs is not None:
            text.inputs = _words(inputs)
        text.widths.update(_mapping(widths))
        text.constants.update(constants)
        cell = Cell.defined(text, prune=True)
        given = {*constants, *_mapping(widths), *(_words(inputs) if inputs is not None else ())}
        if idle := given - {*cell.inputs, *cell.constants, *cell.rows}:
            raise ValueError(f"but: {', '.join(map(repr, sorted(idle)))} given, but no row of the result reads it")
        return cell

    def __copy__(self) -> Cell:
        return self

    def __deepcopy__(self, memo: Any) -> Cell:
        return self

    def __reduce__(self) -> Any:
        return Cell, (str(self),)

    # ---- sizes ------------------------------------------------------------------------------------------------------
    def sizes(self, input_size: int, hidden_size: int) -> Sizes:
        """Widths, shapes and costs for these sizes.  ValueError if the equations do not fit together."""
        key = check_size(input_size, "input_size"), check_size(hidden_size, "hidden_size")
        if key not in self._sizes:
            self._sizes[key] = Sizes(self, *key)
        return self._sizes[key]

    @cached_property
    def _sizes(self) -> dict[tuple[int, int], Sizes]:
        return {}

    def parameter_shapes(self, input_size: int, hidden_size: int) -> dict[str, tuple[int, ...]]:
        """{parameter: shape}, row by row in the order of the text: matrices (width, width of source), then vectors.

        Raises
        ------
        ValueError
            If values of different widths meet, as with a bare x where D must equal H.
        """
        return dict(self.sizes(input_size, hidden_size).shapes)

    def parameter_count(self, input_size: int, hidden_size: int) -> int:
        """Number of learned numbers."""
        return sum(math.prod(shape) for shape in self.parameter_shapes(input_size, hidden_size).values())

    def flops(self, input_size: int, hidden_size: int, backward: bool = False) -> int:
        """Floating-point operations of one step of one sequence, or of its backward step with all gradients.

        A product counts 2 for each weight, an elementwise operation or function 1 for each unit.  The backward step
        counts what it needs of the forward values as kept, not as computed again.
        """
        sizes = self.sizes(input_size, hidden_size)
        forward = sizes.operations(self.flat.values())
        if not backward:
            return forward
        adjoint = self.adjoint
        wanted = [g for node, g in adjoint.cotangents.items() if not node.args or node.op == "product"]
        outer = sum(2 * math.prod(sizes.shapes[name]) for name in adjoint.matrices)
        return sizes.operations([*self.flat.values(), *wanted]) - forward + outer

    # ---- derivatives ------------------------------------------------------------------------------------------------
    @cached_property
    def adjoint(self) -> Adjoint:
        """Derivatives of a step, from leaves "cotangent", one a carried row: the whole derivative at that row.

        `adjoint.cotangents[leaf("state", State("c"))]` is what goes back to c one step earlier.
        """
        seeds: dict[Symbol, Symbol] = {}
        for name in dict.fromkeys(s.row for s in self.carried):
            node, seed = self.flat[name], leaf("cotangent", name)
            seeds[node] = seeds[node] + seed if node in seeds else seed
        return gradient(seeds)

    def alone(self) -> dict[str, Symbol]:
        """Each row's right side, functions expanded, other rows as leaves."""
        return self.on_symbols(lambda name, value: leaf("row", name))

    # ---- what follows from the text ---------------------------------------------------------------------------------
    def step(self, parameters: Mapping[str, Any], x: Any, state: Sequence[Any], **inputs: Any) -> tuple[Tensor, ...]:
        """One step, by the operations of the tape: the readable form of the cell.

        Parameters
        ----------
        parameters : mapping of str to Tensor
            By the names and shapes of `parameter_shapes`.
        x : Tensor (B, D)
        state : tuple of Tensor
            In the order of `states`, each (B, width).
        **inputs : Tensor (B, width)
            The further inputs of the cell.

        Returns
        -------
        tuple of Tensor
            The state after the step, in the same order; the first is the output.

        Raises
        ------
        ValueError, TypeError
            For what is missing, of another shape, or of another dtype; the message names it.
        """
        self.program.show()
        return step(self, parameters, x, state, inputs)

    def equations(self, latex: bool = False, backward: bool = False) -> str:
        """The equations with a time index, or those of back-propagation through time, derived from them.

        delta h_t is the derivative of the loss with respect to h_t; i'_t is the sum of products W in row i.
        """
        return equations(self, latex, backward)

    def source(self, dtype: str = "float32") -> str:
        """The generated kernel, a Python module; dtype="numpy": a standalone NumPy function over a whole sequence.

        The module is what is compiled for either dtype, and what runs with NUMBA_DISABLE_JIT=1.

        Raises
        ------
        ValueError
            For another dtype, and if a row calls a step primitive, whose code is its own.
        """
        if dtype == "numpy":
            return numpy_source(self)
        if dtype not in ("float32", "float64"):
            raise ValueError(f"source: dtype must be 'float32', 'float64' or 'numpy', got {dtype!r}")
        from .compiled import generated_source  # the compiler stands on this file
        return generated_source(self, dtype)

    def draw(self, unrolled: int | None = None) -> str:
        """Graphviz source: a node a row, dashed edges for what comes from an earlier step.

        unrolled : number of steps to draw side by side; None: one step.
        """
        return draw(self, unrolled)

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {self.equations(latex=True)}$"

    def _repr_markdown_(self) -> str:
        return markdown(self)


def _words(inputs: Any) -> tuple[str, ...]:
    if not isinstance(inputs, str):
        raise TypeError(f"inputs: expected names in one string, as 'x m', got {type(inputs).__name__}")
    return tuple(inputs.replace(",", " ").split())


def _mapping(widths: Any) -> Mapping[str, Any]:
    if widths is not None and not isinstance(widths, Mapping):
        raise TypeError(f"widths: expected a dict, got {type(widths).__name__}")
    return widths or {}
