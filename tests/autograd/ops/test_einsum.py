"""Einstein's summation and products composed of matrix products, against NumPy: any letters, "...", sizes of 1."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tinygrad_rnn import tensor
from tinygrad_rnn.testing import adjointcheck, gradcheck, gradgradcheck

EQUATIONS = {
    "ij,jk->ik": [(2, 3), (3, 4)], "ij,jk": [(2, 3), (3, 4)], "bij,bjk->bik": [(2, 3, 4), (2, 4, 5)], "ii": [(3, 3)],
    "ii->i": [(3, 3)], "iij->j": [(3, 3, 2)], "ij->ji": [(2, 3)], "ij->": [(2, 3)], "i,j->ij": [(2,), (3,)],
    "i,i": [(4,), (4,)], "i,i->i": [(4,), (4,)], ",i->i": [(), (3,)], "i->": [(0,)], "ba": [(2, 3)],
    "...ij,...jk->...ik": [(5, 2, 3), (3, 4)], "...i,i->...": [(2, 3, 4), (4,)], "i...,i...": [(2, 3), (2, 3)],
    "...": [(2, 3)], "...,...->...": [(2, 1), (3,)], "bhqd,bhkd->bhqk": [(2, 2, 3, 4), (2, 2, 5, 4)],
    "ij,jk,kl->il": [(2, 3), (3, 4), (4, 2)], "a,b,c->cab": [(2,), (3,), (4,)], "ij,ij,ij->": [(2, 3)] * 3,
    "ij,kj->ki": [(1, 3), (2, 3)], "ij,ij->i": [(2, 1), (2, 3)], "ij,ij->j": [(2, 1), (1, 3)],
    "aab,b->a": [(2, 2, 3), (3,)],
    " i j , j k -> k i ": [(2, 3), (3, 4)], "ij,k->ik": [(2, 3), (4,)], "iJ,JK->iK": [(2, 3), (3, 2)],
    "ij,jk->ki": [(2, 0), (0, 3)], "ij,ij->ij": [(1, 1), (1, 1)], "i->i": [(1,)], "ij,j->i": [(3, 1), (1,)],
}


@pytest.mark.parametrize("equation", EQUATIONS)
def test_against_numpy(equation, rng) -> None:
    arrays = [rng.standard_normal(shape) for shape in EQUATIONS[equation]]
    result = tg.einsum(equation, *map(tensor, arrays))
    expected = np.einsum(equation, *arrays)
    assert result.shape == expected.shape
    np.testing.assert_allclose(result.data, expected, rtol=1e-12, atol=1e-13)
    assert adjointcheck(lambda *t: tg.einsum(equation, *t), arrays)


@settings(max_examples=60)
@given(st.data())
def test_random_equations(data) -> None:
    sizes = {letter: data.draw(st.integers(1, 3)) for letter in "abcd"}
    terms = data.draw(st.lists(st.text("abcd", max_size=3), min_size=1, max_size=4))
    named = sorted(set("".join(terms)))
    result = "".join(data.draw(st.permutations(named))[:data.draw(st.integers(0, len(named)))])
    equation = ",".join(terms) + "->" + result
    rng = np.random.default_rng(1)
    arrays = [rng.standard_normal([sizes[c] if len(set(term)) < len(term) or data.draw(st.booleans()) else
                                   data.draw(st.sampled_from([1, sizes[c]])) for c in term]) for term in terms]
    found = tg.einsum(equation, *map(tensor, arrays)).data
    np.testing.assert_allclose(found, np.einsum(equation, *arrays), rtol=1e-11, atol=1e-12)


def test_second_derivatives(rng) -> None:
    arrays = [rng.standard_normal((2, 3)), rng.standard_normal((3, 2))]
    assert gradgradcheck(lambda a, b: tg.einsum("ij,jk->ik", a, b) ** 2, arrays)
    assert gradcheck(lambda a: tg.einsum("ij,ij->", a, a), arrays[:1])


@pytest.mark.parametrize(("call", "error", "match"), [
    (lambda x: tg.einsum("ij,jk", x), ValueError, "is for 2 operands, got 1"),
    (lambda x: tg.einsum("ijk->i", x), ValueError, r"must name the 2 axes of operand 0, which has shape \(2, 3\)"),
    (lambda x: tg.einsum("ij,jk->ik", x, x), ValueError, "axis 'j' of .* has sizes 3 and 2"),
    (lambda x: tg.einsum("ij->ik", x), ValueError, "must name axes of the operands, each once; got 'k'"),
    (lambda x: tg.einsum("ij->ii", x), ValueError, "each once; got 'i'"),
    (lambda x: tg.einsum("i1->i", x), ValueError, "by a letter each"),
    (lambda x: tg.einsum("ii->i", x), ValueError, "sizes 2 and 3"),
    (lambda x: tg.einsum(x, x), TypeError, "equation must be a str"),
    (lambda x: tg.einsum("...->", tensor([1.0]), x), ValueError, "for 1 operands, got 2"),
])
def test_errors(call, error, match, rng) -> None:
    with pytest.raises(error, match=match):
        call(tensor(rng.standard_normal((2, 3))))


# ---- products of vectors and tensors --------------------------------------------------------------------------------
@pytest.mark.parametrize(("a", "b", "axes"), [
    ((2, 3, 4), (3, 4, 5), 2), ((2, 3), (4,), 0), ((2, 3, 4), (4, 3), ([1, 2], [1, 0])), ((3, 2), (2, 3), ([0], [-1])),
    ((3,), (3,), 1), ((2, 0), (0, 3), 1), ((2, 3), (3, 2), (1, 0)),
])
def test_tensordot(a, b, axes, rng) -> None:
    x, y = rng.standard_normal(a), rng.standard_normal(b)
    np.testing.assert_allclose(tg.tensordot(tensor(x), tensor(y), axes).data, np.tensordot(x, y, axes), rtol=1e-12)
    assert adjointcheck(lambda s, t: tg.tensordot(s, t, axes), [x, y])


def test_vectors(rng) -> None:
    a, b, c = rng.standard_normal(4), rng.standard_normal(4), rng.standard_normal((3, 4))
    np.testing.assert_allclose(tg.outer(tensor(a), b[:3]).data, np.outer(a, b[:3]))
    np.testing.assert_allclose(tg.dot(tensor(a), b).data, a @ b)
    np.testing.assert_allclose(tg.vecdot(tensor(c), a).data, c @ a)
    np.testing.assert_allclose(tg.vecdot(tensor(c), c, axis=0).data, (c * c).sum(0))
    np.testing.assert_allclose(tg.vecdot(tensor(c), c, axis=1).data, (c * c).sum(1))
    for operation, arrays in ((tg.outer, [a, b]), (tg.dot, [a, b]), (tg.vecdot, [c, a])):
        assert adjointcheck(operation, arrays)
    assert tg.dot(tensor([2, 3]), tensor([4, 5])).item() == 23


@pytest.mark.parametrize(("call", "match"), [
    (lambda x: tg.outer(x, x), r"outer: a must have one dimension, got shape \(2, 3\)"),
    (lambda x: tg.dot(x[0], x), "dot: b must have one dimension"),
    (lambda x: tg.dot(x[0], x[:, 0]), "equally long, got 3 and 2"),
    (lambda x: tg.vecdot(x, x[:, 0]), "vecdot: a and b must be equally long along axis -1"),
    (lambda x: tg.vecdot(x, 1.0), "both arguments need a dimension"),
    (lambda x: tg.tensordot(x, x, 3), "axes must lie between 0 and 2, got 3"),
    (lambda x: tg.tensordot(x, x, 1), "must pair axes of equal size"),
    (lambda x: tg.tensordot(x, x, ([0, 0], [0, 0])), "each once"),
    (lambda x: tg.tensordot(x, x, ([0],)), "a number or two lists of axes"),
])
def test_errors_of_products(call, match, rng) -> None:
    with pytest.raises(ValueError, match=match):
        call(tensor(rng.standard_normal((2, 3))))
