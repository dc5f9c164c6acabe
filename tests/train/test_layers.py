"""Layers in files: a user's own cell comes back, another cell's weights do not."""

import numpy as np
import pytest

from tinygrad_rnn import nn, tensor, train
from tinygrad_rnn.cells import Cell, catalogue
from tinygrad_rnn.files import checkpoint

OWN = """
    squash(u) = 4*sigmoid(u) - 2
    u = sigmoid(W(x, h_prev) + p*h_prev(2) + b(2))
    h = a*u*squash(W(v)) + (1 - u)*h_prev"""


@pytest.mark.parametrize("options", [
    {}, {"hidden_size": [4, 6], "num_layers": 2, "bidirectional": True, "skip": "dense", "init": "orthogonal"},
    {"batch_first": True, "zoneout": 0.2, "variational_dropout": (0.1, 0.2, 0.3), "checkpoint_every": "sqrt"},
    {"fused": False, "naive_dropout": 0.5, "init": nn.init.orthogonal_},
])
def test_a_cell_of_ones_own_comes_back(options, tmp_path, rng) -> None:
    cell = Cell(OWN, inputs="x v", widths={"v": 2}, name="own", a=0.7)
    layer = nn.Recurrent(cell, 3, **{"hidden_size": 4, **options}, rng=1).astype(np.float64).eval()
    train.save_layer(tmp_path / "layer", layer)
    again = train.load_layer(tmp_path / "layer").eval()
    assert again.cell == cell and again.cell.name == "own" and again.options() == layer.options()
    x, v = rng.normal(size=(5, 5, 3)), rng.normal(size=(5, 2))
    np.testing.assert_array_equal(again(x, v=v)[0].numpy(), layer(x, v=v)[0].numpy())


def test_into_a_layer_of_the_same_equations_alone(tmp_path) -> None:
    cells = catalogue()
    layer = nn.Recurrent(cells["gru_sheet"], 3, 4, rng=1)
    train.save_layer(tmp_path / "layer", layer)
    other = nn.Recurrent(cells["gru_reset_before"], 3, 4, rng=2)
    before = other.state_dict()
    assert list(before) == list(layer.state_dict())         # names and shapes alone would let it pass
    with pytest.raises(ValueError, match=r"(?s)another cell, .*z\*n \+ \(1 - z\)\*h_prev.*\(1 - z\)\*n \+ z\*h_prev"):
        train.load_layer(tmp_path / "layer", into=other)
    for name, value in other.state_dict().items():
        np.testing.assert_array_equal(value, before[name])
    same = nn.Recurrent(Cell(str(cells["gru_sheet"]), name="renamed"), 3, 4, dropout=0.5, rng=2)
    assert train.load_layer(tmp_path / "layer", into=same) is same
    np.testing.assert_array_equal(same.W_z_x_l0.data, layer.W_z_x_l0.data)
    with pytest.raises(ValueError, match="missing"):
        train.load_layer(tmp_path / "layer", into=nn.Recurrent(cells["gru_sheet"], 3, 4, 2))


@pytest.mark.parametrize("content", [
    {}, {"cell": "h = __import__('os').system('true')", "options": {}, "weights": {}},
    {"cell": "h = tanh(W(x, h_prev))", "options": {"size": 3}, "weights": {}},
])
def test_files_that_hold_no_layer(content, tmp_path) -> None:
    checkpoint.save(tmp_path / "file", content, "recurrent layer")
    with pytest.raises(train.CheckpointError, match="holds no whole recurrent layer"):
        train.load_layer(tmp_path / "file")
    checkpoint.save(tmp_path / "file", content, "a poem")
    with pytest.raises(train.CheckpointError, match="of something else: of kind 'a poem', not 'recurrent layer'"):
        train.load_layer(tmp_path / "file")


def test_other_things_are_not_saved(tmp_path) -> None:
    for thing in (nn.LSTM(2, 3), tensor([1.0])):
        with pytest.raises(TypeError, match="expected an nn.Recurrent"):
            train.save_layer(tmp_path / "file", thing)
