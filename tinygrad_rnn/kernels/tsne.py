"""t-SNE: attraction along P, repulsion between all points, exactly or by a tree (Barnes and Hut).

With q[i, j] = 1 / (1 + |y_i - y_j|^2) and Z = sum of q over i != j, the gradient of KL(P || Q), Q = q / Z, is
    d_y_i = 4 (sum_j P[i, j] q[i, j] (y_i - y_j) - (1 / Z) sum_j q[i, j]^2 (y_i - y_j)).
"""
import math

import numpy as np

from .arrays import FLOAT64
from .jit import helper, kernel, native
from .llvm import Emit, Int, V, call, vector_bytes
from .pool import share
from .threads import get_num_threads, pool_address

FAR = 1e15          # where points stand that only fill up a vector: their q is 1e-30, which no sum notices
DEEPEST = 64        # halvings of the tree's square; points that are still together then are one
STACK = 8 * DEEPEST


# ---- exactly ----------------------------------------------------------------------------------------------------


def _forces(dimensions: int):
    """The kernel of one number of dimensions."""

    def forces(e: Emit, first: Int, last: Int, vectors: Int, points: Int, P: Int, attraction: Int, repulsion: Int,
               q_sums: Int) -> None:
        """Points first to last - 1 against all; rows of P, and of the others (dimensions, .), are `vectors` long."""
        length = vectors * e.bytes

        def one(k: Int) -> None:
            i = first + k
            own = [e.broadcast(points + d * length + i * e.size) for d in range(dimensions)]

            def others(v: Int, q_sum: V, *forces: V) -> list[V]:
                at = v * e.bytes
                apart = [y - e.load(points + d * length + at) for d, y in enumerate(own)]
                square = e.const(1.0)
                for x in apart:
                    square = x.fma(x, square)
                q = 1.0 / square
                pull, push = e.load(P + i * length + at) * q, q * q
                return [q_sum + q, *(pull.fma(x, f) for x, f in zip(apart, forces)),
                        *(push.fma(x, f) for x, f in zip(apart, forces[dimensions:]))]

            total, *found = e.loop(vectors, others, *[e.const(0.0)] * (1 + 2 * dimensions), at_least_once=True)
            one_lane = e.first(e.int(1))
            e.store(q_sums + i * e.size, total.fold(lambda a, b: a + b), one_lane)
            for d, f in enumerate(found):
                where = (attraction if d < dimensions else repulsion) + d % dimensions * length + i * e.size
                e.store(where, f.fold(lambda a, b: a + b), one_lane)

        e.loop(last - first, one)

    return forces


_native = {d: native(_forces(d), f"tsne_forces_{d}") for d in (1, 2, 3)}


@helper
def some(part, parts, n, vectors, points, P, attraction, repulsion, q_sums, native_forces):
    """One part of the points."""
    call(native_forces, (n * part // parts, n * (part + 1) // parts, vectors, points.ctypes.data, P.ctypes.data,
                         attraction.ctypes.data, repulsion.ctypes.data, q_sums.ctypes.data))


@kernel("void(intp, intp, intp, intp, const(T[:, ::1]), const(T[:, ::1]), T[:, ::1], T[:, ::1], T[::1], intp)")
def all_points(pool, parts, n, vectors, points, P, attraction, repulsion, q_sums, native_forces):
    """Every point, by the threads of a pool."""
    share(pool, parts, some, (n, vectors, points, P, attraction, repulsion, q_sums, native_forces))


def tsne_padded(n: int, dtype: np.dtype) -> int:
    """n rounded up to whole vectors."""
    width = vector_bytes() // dtype.itemsize
    return -(-n // width) * width


def tsne_exact(P: np.ndarray, Y: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Attraction, repulsion and Z.

    Parameters
    ----------
    P : (n, padded), padded as `tsne_padded` says, 0 beyond n
    Y : (n, 1 to 3), dtype of P

    Returns
    -------
    attraction, repulsion : as Y
        sum_j P q (y_i - y_j), and sum_j q^2 (y_i - y_j).
    Z : float
    """
    (n, dimensions), padded, dtype = Y.shape, P.shape[1], Y.dtype
    points = np.full((dimensions, padded), FAR, dtype)
    points[:, :n] = Y.T
    attraction, repulsion, q_sums = np.empty_like(points), np.empty_like(points), np.empty(n, dtype)
    parts = min(n, get_num_threads())
    all_points[dtype](pool_address() if parts > 1 else 0, parts, n, padded * dtype.itemsize // vector_bytes(), points,
                      P, attraction, repulsion, q_sums, _native[dimensions][dtype])
    # A point's q with itself is 1, and belongs to no pair.
    return attraction[:, :n].T, repulsion[:, :n].T, float((q_sums.astype(np.float64) - 1).sum())


# ---- by a tree --------------------------------------------------------------------------------------------------


@helper
def open_node(parent, quarter, children, counts, sums, middles, widths, nodes):
    """A new node, empty, for one part of its parent; `quarter` has a bit for each dimension: is it the upper half."""
    children[parent, quarter] = nodes
    children[nodes] = 0
    counts[nodes] = 0
    sums[nodes] = 0
    widths[nodes] = widths[parent] / 2
    for d in range(sums.shape[1]):
        step = widths[parent] / 4
        middles[nodes, d] = middles[parent, d] + (step if quarter >> d & 1 else -step)


@helper
def part_of(point, middle):
    """Which part of a node a point falls into."""
    quarter = 0
    for d in range(len(point)):
        if point[d] > middle[d]:
            quarter |= 1 << d
    return quarter


@kernel("intp(const(T[:, ::1]), const(T[::1]), T, int64[:, ::1], int64[::1], int64[::1], T[:, ::1], T[:, ::1], "
        "T[::1])", dtypes="d")
def grow(Y, middle, width, children, counts, first, means, middles, widths):
    """Build the tree of points; gives the number of nodes, or -1 if there is no room for more.

    children (m, 2^d): numbers of nodes, 0 for none; a leaf, a node without, has width 0. first: a point in the node.
    means: of the points in a node.
    """
    nodes = 1
    children[0], counts[0], means[0], middles[0], widths[0] = 0, 0, 0, middle, width
    for i in range(len(Y)):
        node = 0
        for depth in range(DEEPEST + 1):
            if counts[node] == 0:
                first[node] = i
            leaf = (children[node] == 0).all()
            if leaf and (counts[node] == 0 or depth == DEEPEST or (Y[first[node]] == Y[i]).all()):
                counts[node] += 1
                means[node] += Y[i]
                break
            if nodes + 2 > len(counts):
                return -1
            if leaf:
                # It holds another point: that one moves a level down, and this one follows.
                open_node(node, part_of(Y[first[node]], middles[node]), children, counts, means, middles, widths, nodes)
                counts[nodes], first[nodes], means[nodes] = counts[node], first[node], means[node]
                nodes += 1
            counts[node] += 1
            means[node] += Y[i]
            quarter = part_of(Y[i], middles[node])
            if children[node, quarter] == 0:
                open_node(node, quarter, children, counts, means, middles, widths, nodes)
                nodes += 1
            node = children[node, quarter]
    for node in range(nodes):
        if (children[node] == 0).all():
            means[node], widths[node] = Y[first[node]], 0       # exactly: a third of the sum of three is not it
        else:
            means[node] /= counts[node]
    return nodes


@helper
def repel(part, parts, Y, theta, children, counts, means, widths, repulsion, q_sums):
    """One part of the points: walk down the tree until a node looks small enough from here."""
    n, dimensions = Y.shape
    stack, apart = np.empty(STACK, np.int64), np.empty(dimensions, Y.dtype)
    for i in range(n * part // parts, n * (part + 1) // parts):
        repulsion[i] = 0
        total = 0.0
        top = 1
        stack[0] = 0
        while top > 0:
            top -= 1
            node = stack[top]
            square = 0.0
            for d in range(dimensions):
                apart[d] = Y[i, d] - means[node, d]
                square += apart[d] * apart[d]
            width = widths[node]
            if width == 0 or width * width < theta * theta * square:
                count = counts[node]
                if square == 0:
                    count -= 1          # the point itself
                q = 1 / (1 + square)
                total += count * q
                for d in range(dimensions):
                    repulsion[i, d] += count * q * q * apart[d]
            else:
                for c in range(children.shape[1]):
                    if children[node, c] != 0:
                        stack[top] = children[node, c]
                        top += 1
        q_sums[i] = total


@kernel("void(intp, intp, const(T[:, ::1]), T, const(int64[:, ::1]), const(int64[::1]), const(T[:, ::1]), "
        "const(T[::1]), T[:, ::1], T[::1])", dtypes="d")
def repel_all(pool, parts, Y, theta, children, counts, means, widths, repulsion, q_sums):
    """Every point, by the threads of a pool."""
    share(pool, parts, repel, (Y, theta, children, counts, means, widths, repulsion, q_sums))


@helper
def attract(part, parts, starts, columns, P, Y, attraction):
    """One part of the points: the sparse rows of P."""
    n, dimensions = Y.shape
    for i in range(n * part // parts, n * (part + 1) // parts):
        attraction[i] = 0
        for k in range(starts[i], starts[i + 1]):
            square = 1.0
            for d in range(dimensions):
                square += (Y[i, d] - Y[columns[k], d]) ** 2
            for d in range(dimensions):
                attraction[i, d] += P[k] / square * (Y[i, d] - Y[columns[k], d])


@kernel("void(intp, intp, const(int64[::1]), const(int64[::1]), const(T[::1]), const(T[:, ::1]), T[:, ::1])",
        dtypes="d")
def attract_all(pool, parts, starts, columns, P, Y, attraction):
    """Every point, by the threads of a pool."""
    share(pool, parts, attract, (starts, columns, P, Y, attraction))


def tsne_tree(starts: np.ndarray, columns: np.ndarray, P: np.ndarray, Y: np.ndarray,
              theta: float) -> tuple[np.ndarray, np.ndarray, float]:
    """Attraction, repulsion and Z, the latter two by a tree: nodes of width / distance < theta stand for their points.

    Parameters
    ----------
    starts (n + 1,), columns (m,), P (m,) : sparse rows of P, int64, int64, float64
    Y : (n, 1 to 3) float64
    theta : float
        0: exactly.
    """
    n, dimensions = Y.shape
    low, high = Y.min(0), Y.max(0)
    middle, width = (low + high) / 2, float((high - low).max()) * (1 + 1e-9) + 1e-300
    nodes, room = -1, 2 * n + 16
    while nodes < 0:
        room *= 2
        children = np.empty((room, 2**dimensions), np.int64)
        counts, first, widths = np.empty(room, np.int64), np.empty(room, np.int64), np.empty(room)
        means, middles = np.empty((room, dimensions)), np.empty((room, dimensions))
        nodes = grow[FLOAT64](Y, middle, width, children, counts, first, means, middles, widths)
    attraction, repulsion, q_sums = np.empty_like(Y), np.empty_like(Y), np.empty(n)
    parts = min(n, get_num_threads())
    pool = pool_address() if parts > 1 else 0
    repel_all[FLOAT64](pool, parts, Y, theta, children, counts, means, widths, repulsion, q_sums)
    attract_all[FLOAT64](pool, parts, starts, columns, P, Y, attraction)
    return attraction, repulsion, float(q_sums.sum())


# ---- P ----------------------------------------------------------------------------------------------------------


@helper
def calibrate(part, parts, squares, entropy, P):
    """One part of the rows: beta by Newton's method in log beta, between bounds that shrink."""
    rows, n = squares.shape
    for i in range(rows * part // parts, rows * (part + 1) // parts):
        least, mean = np.inf, 0.0
        for j in range(n):
            if squares[i, j] < np.inf:
                least = min(least, squares[i, j])
        count = 0
        for j in range(n):
            if squares[i, j] < np.inf:
                mean += squares[i, j] - least
                count += 1
        low, high = -np.inf, np.inf
        mean /= count
        step = -math.log(mean) if mean > 0 else 0.0     # log beta
        for _ in range(200):
            beta = math.exp(step)
            total, first, second = 0.0, 0.0, 0.0
            for j in range(n):
                x = squares[i, j] - least
                p = math.exp(-beta * x) if x < np.inf else 0.0
                P[i, j] = p
                if p > 0:
                    total += p
                    first += p * x
                    second += p * x * x
            first, second = first / total, second / total
            excess = math.log(total) + beta * first - entropy
            if abs(excess) < 1e-10:
                break
            if excess > 0:
                low = step
            else:
                high = step
            # d entropy / d log beta = - beta^2 (variance of the squares)
            slope = beta * beta * (second - first * first)
            following = step + excess / slope if slope > 1e-12 else np.nan
            if not (low < following < high) or abs(following - step) > 4:
                if low == -np.inf:
                    following = step - 4
                elif high == np.inf:
                    following = step + 4
                else:
                    following = (low + high) / 2
            if following == step or abs(following) > 600:
                break
            step = following
        for j in range(n):
            P[i, j] /= total


@kernel("void(intp, intp, const(T[:, ::1]), T, T[:, ::1])", dtypes="d")
def calibrate_all(pool, parts, squares, entropy, P):
    """Every row, by the threads of a pool."""
    share(pool, parts, calibrate, (squares, entropy, P))


def tsne_conditionals(squares: np.ndarray, perplexity: float) -> np.ndarray:
    """p[i, j] ~ exp(-beta_i squares[i, j]), each row summing to 1, beta_i such that its entropy is log(perplexity).

    squares: (n, m) float64, infinity where there is no neighbour.
    """
    P = np.empty_like(squares)
    parts = min(len(P), get_num_threads())
    calibrate_all[FLOAT64](pool_address() if parts > 1 else 0, parts, squares, math.log(perplexity), P)
    return P
