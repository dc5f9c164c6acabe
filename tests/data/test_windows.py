"""Windows against slices taken by hand, and their position."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_rnn.data.windows import Windows, split


@st.composite
def streams(draw: st.DrawFn) -> Windows:
    """Windows over 0, 1, 2 ...: every token tells where it stood."""
    seq_len, batch = draw(st.integers(1, 7)), draw(st.integers(1, 5))
    extra = draw(st.integers(0, 3 * seq_len * batch))
    return Windows(np.arange(seq_len * batch + 1 + extra), seq_len, batch)


def test_the_picture_in_the_docstring() -> None:
    windows = Windows(np.arange(15), seq_len=3, batch=2)
    assert len(windows) == 2
    (x0, y0), (x1, y1) = windows
    assert x0.T.tolist() == [[0, 1, 2], [6, 7, 8]] and y0.T.tolist() == [[1, 2, 3], [7, 8, 9]]
    assert x1.T.tolist() == [[3, 4, 5], [9, 10, 11]] and y1.T.tolist() == [[4, 5, 6], [10, 11, 12]]


@given(streams())
def test_a_column_is_a_slice_of_the_stream(windows: Windows) -> None:
    T, B, N = windows.seq_len, windows.batch, len(windows.ids)
    for epoch in range(2):
        pairs = list(windows)
        assert len(pairs) == len(windows) == (N - 1) // (T * B)
        assert all(x.shape == y.shape == (T, B) and x.dtype == y.dtype == np.int64 for x, y in pairs)
        # Column b, through all windows, is text that follows on; targets are one later.
        read = np.concatenate([x for x, _ in pairs])
        steps = len(read)
        begin = 0 if epoch == 0 else N - 1 - steps * B
        for b in range(B):
            assert read[:, b].tolist() == list(range(begin + b * steps, begin + (b + 1) * steps))
        assert np.array_equal(np.concatenate([y for _, y in pairs]), read + 1)


@given(streams())
def test_two_passes_read_everything(windows: Windows) -> None:
    seen = {token for _ in range(2) for x, _ in windows for token in x.ravel().tolist()}
    assert seen == set(range(len(windows.ids) - 1))


@given(streams(), st.data())
def test_a_saved_position_goes_on_where_it_was(windows: Windows, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, 3 * len(windows)))
    whole = [x for _ in range(4) for x, _ in windows]

    first = Windows(windows.ids, windows.seq_len, windows.batch)
    taken, saved = [], first.state_dict()
    while len(taken) < cut:
        for x, _ in first:
            taken.append(x)
            saved = first.state_dict()      # in the middle of a pass, as a training loop does
            if len(taken) == cut:
                break
    second = Windows(windows.ids, windows.seq_len, windows.batch)
    second.load_state_dict(saved)
    while second.epoch < 4:
        taken.extend(x for x, _ in second)
    assert len(taken) == len(whole) and all(map(np.array_equal, taken, whole))


def test_a_batch_does_not_share_memory_with_the_stream() -> None:
    windows = Windows(np.arange(15), 3, 2)
    windows[0][0][...] = -1
    assert windows.ids.tolist() == list(range(15))


@pytest.mark.parametrize(("ids", "seq_len", "batch", "error", "words"), [
    (np.arange(12), 3, 4, ValueError, "at least 13 tokens, got 12"),
    (np.arange(0), 1, 1, ValueError, "got 0"),
    (np.arange(12.0), 3, 2, TypeError, "integers"),
    (np.zeros((3, 4), int), 3, 2, TypeError, r"shape \(3, 4\)"),
    (np.arange(12), 0, 2, ValueError, "seq_len must be at least 1, got 0"),
    (np.arange(12), 2, -1, ValueError, "batch must be at least 1, got -1"),
])
def test_errors(ids: np.ndarray, seq_len: int, batch: int, error: type, words: str) -> None:
    with pytest.raises(error, match=words):
        Windows(ids, seq_len, batch)


def test_positions_of_other_windows_are_refused() -> None:
    windows = Windows(np.arange(40), 3, 2)
    good = windows.state_dict()
    for wrong in (good | {"seq_len": 4}, good | {"tokens": 41}, good | {"window": 7}, good | {"epoch": -1}):
        with pytest.raises(ValueError, match="Windows"):
            windows.load_state_dict(wrong)
    with pytest.raises(IndexError, match="window 6 of 6"):
        windows[6]


def test_split() -> None:
    learned, held_out = split(np.arange(105))
    assert learned.tolist() == list(range(95)) and held_out.tolist() == list(range(95, 105))
    assert [len(part) for part in split(np.arange(8), 0.5)] == [4, 4]
    with pytest.raises(ValueError, match="too few"):
        split(np.arange(19))
    with pytest.raises(ValueError, match="between 0 and 1, got 1"):
        split(np.arange(19), 1)
