"""A step of beam search: from each row's likeliest tokens to the best continuations of each beam.

A beam is a run of rows, its hypotheses, the best first. What stands best among all their continuations is found by
looking at the best one left of each row. Order: the greater total first; of equal totals that of the better row, then
the likelier token, then the smaller id. So a beam of one row keeps that row's likeliest token, however totals round.
"""
import numpy as np

from .jit import helper, kernel


@helper
def penalise(row, row_tokens, chosen, count, penalty, values, tokens, penalties):
    """Copy a row's candidates, less a penalty for each time their token was chosen before; sorted anew."""
    for j in range(len(row)):
        less = 0.0
        if penalty != 0.0:
            times = 0
            for c in range(count):
                times += chosen[c] == row_tokens[j]
            less = -penalty * times
        value = row[j] + less
        at = j
        while at > 0 and value > values[at - 1] + penalties[at - 1]:
            values[at], tokens[at], penalties[at] = values[at - 1], tokens[at - 1], penalties[at - 1]
            at -= 1
        values[at], tokens[at], penalties[at] = row[j], row_tokens[j], less


@kernel("int64(const(T[:, ::1]), const(int64[:, ::1]), const(float64[::1]), const(int64[::1]), const(boolean[::1]), "
        "const(int64[::1]), int64, int64, float64, int64[:, ::1], float64[:, ::1], int64[:, ::1], float64[:, ::1], "
        "int64[::1])")
def merge(rows, row_tokens, totals, first, last, places, groups, eos, penalty, live, live_scores, done, done_scores,
          offsets):
    """See `merge_beams`; gives how many hypotheses are done."""
    k, ended, kept, count, most = rows.shape[1], 0, 0, 0, 1
    for beam in range(len(first) - 1):
        most = max(most, first[beam + 1] - first[beam])
    values, penalties, tokens = np.empty((most, k)), np.empty((most, k)), np.empty((most, k), np.int64)
    heads, chosen = np.empty(most, np.int64), np.empty(len(live), np.int64)
    offsets[0] = 0
    for beam in range(len(first) - 1):
        count = count if beam % groups else 0
        begin, number = first[beam], first[beam + 1] - first[beam]
        for r in range(number):
            penalise(rows[begin + r], row_tokens[begin + r], chosen, count, penalty, values[r], tokens[r], penalties[r])
            heads[r] = 0
        for _ in range(places[beam]):
            best, found = -np.inf, -1
            for r in range(number):
                if heads[r] < k:
                    total = totals[begin + r] + (values[r, heads[r]] + penalties[r, heads[r]])
                    if total > best:
                        best, found = total, r
            if found < 0:
                break
            j = heads[found]
            heads[found] += 1
            token = tokens[found, j]
            chosen[count] = token
            count += 1
            if last[beam] or token == eos:
                done[ended, 0], done[ended, 1], done[ended, 2] = beam, begin + found, token
                done_scores[ended, 0], done_scores[ended, 1] = values[found, j], penalties[found, j]
                ended += 1
            else:
                live[kept, 0], live[kept, 1] = begin + found, token
                live_scores[kept, 0], live_scores[kept, 1] = values[found, j], penalties[found, j]
                kept += 1
        offsets[beam + 1] = kept
    return ended


def merge_beams(values: np.ndarray, indices: np.ndarray, totals: np.ndarray, first: np.ndarray, last: np.ndarray,
                places: np.ndarray, groups: int, eos: int, penalty: float) -> tuple[np.ndarray, ...]:
    """The best continuations of each beam: as many as it has places, in falling order of their totals.

    Parameters
    ----------
    values, indices : (N, k), each row's largest log-probabilities, and their tokens; -inf: impossible
    totals : (N,) float64, what each row has reached
    first : (beams + 1,) int64, where each beam's rows begin
    last : (beams,) bool, is it the beam's last step? Else a continuation is done if its token is `eos`
    places : (beams,) int64
    groups, penalty : so many beams in a row belong to one sentence; a continuation is worth `penalty` less for each
        time that its token was chosen by an earlier one of them
    eos : int

    Returns
    -------
    live (n, 2) int64: row and token;  scores (n, 2) float64: log-probability and penalty (not positive)
    done (m, 3) int64: beam, row and token;  scores (m, 2)
    offsets (beams + 1,): where the live ones of each beam begin
    """
    room = int(places.sum())
    live, live_scores = np.empty((room, 2), np.int64), np.empty((room, 2))
    done, done_scores = np.empty((room, 3), np.int64), np.empty((room, 2))
    offsets = np.empty(len(first), np.int64)
    ended = merge[values.dtype](values, indices, totals, first, last, places, groups, eos, penalty, live, live_scores,
                                done, done_scores, offsets)
    kept = int(offsets[-1])
    return live[:kept], live_scores[:kept], done[:ended], done_scores[:ended], offsets
