"""What the rows of a cell mean together: in which order they are computed, which are states, which are of no use."""

from __future__ import annotations

import heapq
from collections.abc import Mapping

from .language import fault, shown
from .rows import Row
from .symbols import State


def computed_order(rows: Mapping[str, Row]) -> tuple[str, ...]:
    """Names of the rows, each after those that it reads, otherwise as in the text.  ValueError for a cycle."""
    place = {name: k for k, name in enumerate(rows)}
    missing = {name: len(row.reads) for name, row in rows.items()}
    readers: dict[str, list[str]] = {name: [] for name in rows}
    for row in rows.values():
        for name in row.reads:
            readers[name].append(row.name)
    ready = [place[name] for name, count in missing.items() if not count]
    in_text, order = list(rows), []
    heapq.heapify(ready)
    while ready:
        name = in_text[heapq.heappop(ready)]
        order.append(name)
        for reader in readers[name]:
            missing[reader] -= 1
            if not missing[reader]:
                heapq.heappush(ready, place[reader])
    if len(order) < len(rows):
        cycle = _cycle(rows, {name for name, count in missing.items() if count})
        names = [shown(name) for name in (*cycle, cycle[0])]
        if len(names) > 8:
            names[4:-4] = ["..."]
        raise ValueError(f"rows {' -> '.join(names)} read each other within one step; write {cycle[0]}_prev for the "
                         f"value "
                         "one step earlier")
    return tuple(order)


def _cycle(rows: Mapping[str, Row], stuck: set[str]) -> list[str]:
    """Rows of one cycle, each read by the next; every stuck row reads a stuck one."""
    path = [next(name for name in rows if name in stuck)]
    while True:
        following = next(name for name in rows[path[-1]].reads if name in stuck)
        if following in path:
            return path[path.index(following):][::-1]
        path.append(following)


def states_of(rows: Mapping[str, Row], output: str) -> tuple[State, ...]:
    """What is carried from step to step, newest first a row: the output, then the other rows read later, as in the
    text.

    State(h, 1) is the value that the next step reads as h_prev.
    """
    longest = {output: 1}
    for row in rows.values():
        for state in row.states:
            longest[state.row] = max(state.lag, longest.get(state.row, 1))
    names = [output, *(name for name in rows if name in longest and name != output)]
    return tuple(State(name, lag) for name in names for lag in range(1, longest[name] + 1))


def check_used(rows: Mapping[str, Row], states: tuple[State, ...]) -> None:
    """ValueError for a row that reaches neither the output nor a state."""
    used = {state.row for state in states}
    waiting = list(used)
    while waiting:
        for name in rows[waiting.pop()].reads:
            if name not in used:
                used.add(name)
                waiting.append(name)
    for name, row in rows.items():
        if name not in used:
            raise fault(str(row), f"the row {shown(name)} is unused: it reaches neither the output {states[0].row!r} "
                                  "nor a state")
