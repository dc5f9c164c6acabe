"""Attention at one step of a recurrence, for some rows of a batch: forward and backward, as machine code.

    e_s = query . keys_s                         dot
    e_s = v . tanh(query + keys_s)               additive
    a = softmax of e where the mask is 1, exactly 0 elsewhere
    context = sum over s of a_s values_s

Each function is void(rows, lanes, step, row, first, table), as the units of `units.py` are, so that `sequence.run`
calls it between them. The table says where its operands stand, five integers each: address, bytes of a step, bytes of a
row, and the two sizes of a row, (n,) as (n, 1) or (S, n), which are contiguous. Forward, the address of an integer for
each row follows: which row of the memory it looks at, so that the hypotheses of a sentence share one.

Sums over the memory run in its order and leave nothing out, so a row's result does not depend on how far its batch is
padded.
"""
from typing import Any

from . import functions
from .jit import Compiled, native
from .llvm import Emit, Int, Mask, V
from .tiles import multiply_add

OPERAND = 5 * 8             # bytes in the table
TOGETHER = 4                # keys, or vectors of columns, that are worked on at once


class Operand:
    """Where one operand stands at a step, in the row that is first worked on."""

    def __init__(self, e: Emit, table: Int, number: int, step: Int, row: Int) -> None:
        at = table + number * OPERAND
        self.stride, self.rows, self.columns = (e.load_int(at + k) for k in (16, 24, 32))
        self.base = e.load_int(at) + step * e.load_int(at + 8)
        self.address = self.base + row * self.stride


# ---- parts -----------------------------------------------------------------------------------------------------------
def across(e: Emit, n: Int, body: Any, *start: Any) -> list[Any]:
    """body(byte of the vector, lanes that exist, *carried) for each vector of n elements; None: all lanes exist."""
    whole = n // e.width
    carried = e.loop(whole, lambda k, *c: body(k * e.bytes, None, *c), *start)
    return list(body(whole * e.bytes, e.first(n - whole * e.width), *carried) or ())


def in_groups(e: Emit, n: Int, body: Any) -> None:
    """body(first, how many) over n things, TOGETHER at a time and then one by one."""
    groups = n // TOGETHER
    e.loop(groups, lambda k: body(k * TOGETHER, TOGETHER))
    e.loop(n - groups * TOGETHER, lambda k: body(groups * TOGETHER + k, 1))


def column_groups(e: Emit, n: Int, body: Any) -> None:
    """body(byte, vectors, lanes that exist or None) over the columns of a row."""
    whole = n // e.width
    in_groups(e, whole, lambda k, count: body(k * e.bytes, count, None))
    with e.when(n > whole * e.width):
        body(whole * e.bytes, 1, e.first(n - whole * e.width))


def put(e: Emit, address: Int, x: V) -> None:
    """One element, from the first lane."""
    e.store(address, x, e.first(e.int(1)))


def products(e: Emit, memory: Int, rows: Int, columns: Int, row: Int, term: Any, to: Int) -> None:
    """to[s] = sum over the columns of term(byte, lanes)(memory[s]); `term` loads what all s share, once a group."""
    def group(first: Int, count: int) -> None:
        at = [memory + (first + k) * row for k in range(count)]

        def along(byte: Int, lanes: Mask | None, *sums: V) -> list[V]:
            of = term(byte, lanes)
            return [of(e.load(a + byte, lanes), total) for a, total in zip(at, sums)]

        for k, total in enumerate(across(e, columns, along, *[e.const(0.0)] * count)):
            put(e, to + (first + k) * e.size, total.fold(lambda a, b: a + b))

    in_groups(e, rows, group)


def mixture(e: Emit, weights: Int, memory: Int, rows: Int, columns: Int, row: Int, to: Int) -> None:
    """to = sum over s of weights[s] memory[s]."""
    def block(byte: Int, count: int, lanes: Mask | None) -> None:
        def one(s: Int, *sums: V) -> list[V]:
            a, at = e.broadcast(weights + s * e.size), memory + s * row + byte
            return [multiply_add(a, e.load(at + k * e.bytes, lanes), total) for k, total in enumerate(sums)]

        for k, total in enumerate(e.loop(rows, one, *[e.const(0.0)] * count)):
            e.store(to + byte + k * e.bytes, total, lanes)

    column_groups(e, columns, block)


def masked_softmax(e: Emit, scores: Int, mask: Int, n: Int) -> None:
    """In place; exactly 0 where the mask is 0."""
    minus = e.const(-float("inf"))

    def load(byte: Int, lanes: Mask | None) -> tuple[V, Mask]:
        return e.load(scores + byte, lanes), e.load(mask + byte, lanes) > 0.0

    def largest(byte: Int, lanes: Mask | None, top: V) -> list[V]:
        x, on = load(byte, lanes)
        return [top.maximum(on.select(x, minus))]

    top = across(e, n, largest, minus)[0].fold(lambda a, b: a.maximum(b))

    def powers(byte: Int, lanes: Mask | None, total: V) -> list[V]:
        x, on = load(byte, lanes)
        x = on.select(functions.exp(x - top), 0.0)
        e.store(scores + byte, x, lanes)
        return [total + x]

    total = across(e, n, powers, e.const(0.0))[0].fold(lambda a, b: a + b)

    def share(byte: Int, lanes: Mask | None) -> None:
        e.store(scores + byte, e.load(scores + byte, lanes) / total, lanes)

    across(e, n, share)


# ---- forward ---------------------------------------------------------------------------------------------------------
def _forward(additive: bool) -> Compiled:
    def kernel(e: Emit, rows: Int, lanes: Int, step: Int, row: Int, first: Int, table: Int) -> None:
        """query, keys, values, mask[, v], context, weights; places."""
        given = [Operand(e, table, k, step, row) for k in range(7 if additive else 6)]
        query, keys, values, mask, *rest = given
        context, weights = rest[-2:]
        places = e.load_int(table + len(given) * OPERAND) + row * 8

        def one(number: Int, q: Int, c: Int, a: Int) -> list[Int]:
            place = e.load_int(places + number * 8)
            k, v, m, *more = (o.base + place * o.stride for o in (keys, values, mask, *rest[:-2]))

            def term(byte: Int, lanes: Mask | None) -> Any:
                shared = e.load(q + byte, lanes)
                if not additive:
                    return lambda key, total: multiply_add(shared, key, total)
                weight = e.load(more[0] + byte, lanes)
                return lambda key, total: multiply_add(weight, functions.tanh(shared + key), total)

            products(e, k, keys.rows, keys.columns, keys.columns * e.size, term, a)
            masked_softmax(e, a, m, keys.rows)
            mixture(e, a, v, values.rows, values.columns, values.columns * e.size, c)
            return [p + o.stride for p, o in zip((q, c, a), (query, context, weights))]

        e.loop(rows, one, *(o.address for o in (query, context, weights)))

    return native(kernel, f"attention_forward_{'additive' if additive else 'dot'}")


# ---- backward --------------------------------------------------------------------------------------------------------
def _backward(additive: bool) -> Compiled:
    def kernel(e: Emit, rows: Int, lanes: Int, step: Int, row: Int, first: Int, table: Int) -> None:
        """d_context, query, keys, values, mask[, v], weights, room; d_query, d_keys, d_values[, d_v], added to but
        for the first."""
        given = [Operand(e, table, k, step, row) for k in range(12 if additive else 10)]
        keys, values = given[2:4]
        row_of_keys, row_of_values = keys.columns * e.size, values.columns * e.size

        def one(_: Int, *at: Int) -> list[Int]:
            g, q, k, v, _mask, *more = at
            weight = more.pop(0) if additive else q
            a, d, d_q, d_k, d_v, *d_weight = more

            def term(byte: Int, lanes: Mask | None) -> Any:
                shared = e.load(g + byte, lanes)
                return lambda value, total: multiply_add(shared, value, total)

            products(e, v, values.rows, values.columns, row_of_values, term, d)
            through_softmax(e, a, d, keys.rows)

            def outer(byte: Int, count: int, lanes: Mask | None) -> None:
                """d_values[s] += a[s] g"""
                parts = [e.load(g + byte + i * e.bytes, lanes) for i in range(count)]

                def each(s: Int) -> None:
                    share, to = e.broadcast(a + s * e.size), d_v + s * row_of_values + byte
                    for i, part in enumerate(parts):
                        e.store(to + i * e.bytes, multiply_add(share, part, e.load(to + i * e.bytes, lanes)), lanes)

                e.loop(values.rows, each)

            column_groups(e, values.columns, outer)

            def scores(byte: Int, count: int, lanes: Mask | None) -> None:
                parts = [e.load(q + byte + i * e.bytes, lanes) for i in range(count)]
                learned = [e.load(weight + byte + i * e.bytes, lanes) for i in range(count)] if additive else []

                def each(s: Int, *sums: V) -> list[V]:
                    ds = e.broadcast(d + s * e.size)
                    of, to = k + s * row_of_keys + byte, d_k + s * row_of_keys + byte
                    found, found_weights = [], []
                    for i, part in enumerate(parts):
                        key, place = e.load(of + i * e.bytes, lanes), to + i * e.bytes
                        if additive:
                            t = functions.tanh(part + key)
                            u = ds * learned[i] * (1.0 - t * t)
                            e.store(place, e.load(place, lanes) + u, lanes)
                            found.append(sums[i] + u)
                            found_weights.append(multiply_add(ds, t, sums[count + i]))
                        else:
                            e.store(place, multiply_add(ds, part, e.load(place, lanes)), lanes)
                            found.append(multiply_add(ds, key, sums[i]))
                    return found + found_weights

                sums = e.loop(keys.rows, each, *[e.const(0.0)] * (count * (2 if additive else 1)))
                for i in range(count):
                    e.store(d_q + byte + i * e.bytes, sums[i], lanes)
                    if additive:
                        to = d_weight[0] + byte + i * e.bytes
                        e.store(to, e.load(to, lanes) + sums[count + i], lanes)

            column_groups(e, keys.columns, scores)
            return [p + o.stride for p, o in zip(at, given)]

        e.loop(rows, one, *(o.address for o in given))

    return native(kernel, f"attention_backward_{'additive' if additive else 'dot'}")


def through_softmax(e: Emit, weights: Int, d: Int, n: Int) -> None:
    """d = weights * (d - sum of weights * d), in place."""
    def inner(byte: Int, lanes: Mask | None, total: V) -> list[V]:
        return [multiply_add(e.load(weights + byte, lanes), e.load(d + byte, lanes), total)]

    total = across(e, n, inner, e.const(0.0))[0].fold(lambda a, b: a + b)

    def each(byte: Int, lanes: Mask | None) -> None:
        e.store(d + byte, e.load(weights + byte, lanes) * (e.load(d + byte, lanes) - total), lanes)

    across(e, n, each)


forward = {name: _forward(name == "additive") for name in ("dot", "additive")}
backward = {name: _backward(name == "additive") for name in ("dot", "additive")}
