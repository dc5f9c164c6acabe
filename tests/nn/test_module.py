"""The tree of modules: what it finds, how it starts, what it stores, and what it refuses."""

import copy
import io

import joblib
import numpy as np
import pytest

from tinygrad_rnn import nn, tensor


class Net(nn.Module):
    """Two equal layers, a parameter, a buffer, and a shared layer."""

    def __init__(self, rng: int | None = None) -> None:
        super().__init__()
        self.first = nn.Linear(3, 3)
        self.second = nn.Linear(3, 3)
        self.scale = nn.Parameter([1.0, 2.0, 3.0])
        self.again = self.first
        self.drop = nn.Dropout(0.5)
        self.register_buffer("offset", np.arange(3))
        self.initialise(rng)

    def forward(self, x):
        return self.second(self.drop(self.first(x))) * self.scale


def values(module: nn.Module) -> dict[str, np.ndarray]:
    return {name: parameter.data.copy() for name, parameter in module.named_parameters()}


# ---- what it finds --------------------------------------------------------------------------------------------------
def test_parameters_are_found_in_order_and_shared_ones_once() -> None:
    net = Net()
    names = [name for name, _ in net.named_parameters()]
    assert names == ["scale", "first.weight", "first.bias", "second.weight", "second.bias"]
    assert len(list(net.parameters())) == 5
    assert [name for name, _ in net.named_modules()] == ["", "first", "second", "drop"]
    assert [name for name, _ in net.named_children()] == ["first", "second", "again", "drop"]
    assert [name for name, _ in net.named_buffers()] == ["offset"]
    assert next(net.buffers()).tolist() == [0, 1, 2]


def test_a_module_without_a_call_of_the_base_constructor_works() -> None:
    class Bare(nn.Module):
        def __init__(self) -> None:
            self.weight = nn.Parameter([1.0])

    bare = Bare()
    assert bare.training and len(list(bare.parameters())) == 1 and list(bare.state_dict()) == ["weight"]


def test_modules_in_a_plain_list_are_an_error() -> None:
    class Hidden(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = [nn.Linear(2, 2)]

    with pytest.raises(TypeError, match=r"Hidden\.layers is a list .* nn\.ModuleList"):
        list(Hidden().parameters())


def test_containers() -> None:
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    assert [name for name, _ in net.named_parameters()] == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert len(net) == 3 and isinstance(net[1], nn.Tanh) and net[-1] is net[2] and len(net[:2]) == 2
    x = np.ones((5, 3), np.float32)
    np.testing.assert_array_equal(net(x).numpy(), net[2](net[1](net[0](x))).numpy())
    named = nn.Sequential({"inner": nn.Linear(3, 4)})
    assert [name for name, _ in named.named_parameters()] == ["inner.weight", "inner.bias"]
    layers = nn.ModuleList([nn.Linear(1, 1)]).append(nn.Linear(1, 1)).extend([nn.Linear(1, 1)])
    assert len(list(layers.parameters())) == 6 and len(layers[1:]) == 2
    with pytest.raises(IndexError, match="3 modules"):
        layers[3]
    with pytest.raises(TypeError, match="expected a Module, got int"):
        layers.append(1)
    with pytest.raises(NotImplementedError, match="ModuleList has no forward"):
        layers(x)


def test_modes_reach_every_module_and_chain() -> None:
    net = Net()
    assert net.eval() is net and not any(module.training for module in net.modules())
    assert net.train() is net and all(module.training for module in net.modules())


def test_apply_visits_children_first() -> None:
    seen = []
    net = nn.Sequential(nn.Sequential(nn.Tanh()), nn.ReLU())
    assert net.apply(seen.append) is net
    assert [type(module).__name__ for module in seen] == ["Tanh", "Sequential", "ReLU", "Sequential"]


def test_buffers_are_state_and_names_are_checked() -> None:
    net = Net()
    with pytest.raises(ValueError, match="already has an attribute 'first'"):
        net.register_buffer("first", np.zeros(2))
    with pytest.raises(ValueError, match="identifier"):
        net.register_buffer("a.b", np.zeros(2))
    net.register_buffer("nothing", None)
    assert "nothing" not in net.state_dict() and net.nothing is None
    net.register_buffer("offset", np.ones(3))
    np.testing.assert_array_equal(net.state_dict()["offset"], np.ones(3))
    assert [name for name, _ in net.named_buffers()] == ["offset"]


def test_repr_counts_parameters_a_line() -> None:
    text = repr(nn.Sequential(nn.Linear(1000, 10), nn.Sequential(nn.Tanh(), nn.Linear(10, 1, bias=False))))
    assert text.splitlines() == [
        "Sequential(  # 10,020 parameters",
        "  (0): Linear(1000, 10)  # 10,010 parameters",
        "  (1): Sequential(  # 10 parameters",
        "    (0): Tanh()",
        "    (1): Linear(10, 1, bias=False)  # 10 parameters",
        "  )",
        ")",
    ]


# ---- start values ---------------------------------------------------------------------------------------------------
def test_a_seed_decides_everything_and_equal_layers_differ() -> None:
    a, b, c = Net(1), Net(1), Net(2)
    for name, value in values(a).items():
        np.testing.assert_array_equal(value, values(b)[name])
        assert not np.array_equal(value, values(c)[name])
    assert not np.array_equal(a.first.weight.data, a.second.weight.data)
    assert a.rng_state() == b.rng_state() != c.rng_state()


def test_a_start_depends_on_the_path_and_not_on_what_else_there_is() -> None:
    class Other(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.extra = nn.LSTM(2, 3)
            self.second = nn.Linear(3, 3)

    np.testing.assert_array_equal(Net().initialise(5).second.weight.data, Other().initialise(5).second.weight.data)


def test_start_values_do_not_drift() -> None:
    """A seed in a paper still gives the same network: the numbers of one parameter, held fixed."""
    expected = [0.5586794, 0.3026501, -0.1595093]
    np.testing.assert_allclose(nn.Linear(2, 3, rng=7).bias.data, expected, rtol=1e-6)


def test_initialise_takes_generators_seeds_and_none() -> None:
    net, generator = Net(), np.random.default_rng(0)
    first = values(net.initialise(generator))
    assert not np.array_equal(first["scale"], values(net.initialise(generator))["scale"])
    np.testing.assert_array_equal(first["scale"], values(net.initialise(np.random.default_rng(0)))["scale"])
    assert not np.array_equal(values(net.initialise(None))["scale"], values(net.initialise(None))["scale"])
    with pytest.raises(TypeError, match="rng must be"):
        net.initialise("seed")
    with pytest.raises(ValueError, match="negative"):
        net.initialise(-1)


def test_initialise_works_in_place_and_spares_frozen_parameters() -> None:
    net = Net(1)
    weight, data = net.first.weight, net.first.weight.data
    net.scale.requires_grad_(False).data[:] = [1, 2, 3]
    net.initialise(2)
    assert net.first.weight is weight and weight.data is data
    np.testing.assert_array_equal(net.scale.data, [1, 2, 3])


def test_both_dtypes_start_alike() -> None:
    single, double = Net().initialise(3), Net().astype(np.float64).initialise(3)
    for name, value in values(double).items():
        assert value.dtype == np.float64
        np.testing.assert_array_equal(values(single)[name], value.astype(np.float32))


# ---- state ----------------------------------------------------------------------------------------------------------
def test_state_dict_copies_and_loads_back() -> None:
    a, b = Net(1), Net(2)
    state = a.state_dict()
    assert set(state) == {"scale", "offset", "first.weight", "first.bias", "second.weight", "second.bias",
                          "again.weight", "again.bias"}
    assert all(type(value) is np.ndarray for value in state.values())
    weight = b.first.weight
    b.load_state_dict(state)
    assert b.first.weight is weight
    for name, value in values(a).items():
        np.testing.assert_array_equal(value, values(b)[name])
    state["scale"][:] = 9
    assert a.scale.data[0] != 9 and b.scale.data[0] != 9


def test_loading_lists_every_fault_and_changes_nothing() -> None:
    net = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    before = net.state_dict()
    wrong = net.state_dict()
    del wrong["0.bias"]
    wrong |= {"0.weight": np.zeros((4, 4)), "1.weight": np.ones((2, 4)), "1.bias": np.array(["a", "b"]), "2.bias": 1}
    with pytest.raises(ValueError) as error:
        net.load_state_dict(wrong)
    text = str(error.value)
    assert "missing: 0.bias" in text and "unexpected: 2.bias" in text
    assert "0.weight: shape is (4, 3), got (4, 4)" in text and "1.bias: dtype is float32" in text
    for name, value in net.state_dict().items():
        np.testing.assert_array_equal(value, before[name])
    with pytest.raises(ValueError, match="0.weight: shape"):
        net.load_state_dict(wrong, strict=False)
    del wrong["0.weight"], wrong["1.bias"]
    found = net.load_state_dict(wrong, strict=False)
    assert found.missing_keys == ["0.weight", "0.bias", "1.bias"] and found.unexpected_keys == ["2.bias"]
    np.testing.assert_array_equal(net[1].weight.data, np.ones((2, 4)))


def test_loading_takes_tensors_and_other_dtypes() -> None:
    layer = nn.Linear(2, 1)
    layer.load_state_dict({"weight": tensor([[1.0, 2.0]]), "bias": np.array([3.0])})
    assert layer.weight.dtype == np.float32 and layer(np.ones((1, 2), np.float32)).item() == 6


def test_astype_changes_floats_in_place() -> None:
    net = Net(1)
    net.first.weight.grad = tensor(np.ones((3, 3), np.float32))
    assert net.astype(np.float64) is net
    assert {parameter.dtype for parameter in net.parameters()} == {np.dtype(np.float64)}
    assert net.offset.dtype == np.int64 and net.first.weight.grad.dtype == np.float64
    assert net.again.weight is net.first.weight
    with pytest.raises(TypeError, match="floating"):
        net.astype(np.int64)


def test_zero_grad_forgets() -> None:
    net = Net(1)
    net(np.ones((2, 3), np.float32)).sum().backward()
    assert all(parameter.grad is not None for parameter in net.parameters())
    net.zero_grad()
    assert all(parameter.grad is None for parameter in net.parameters())


@pytest.mark.parametrize("how", ["deepcopy", "joblib"])
def test_copies_are_whole_and_apart(how: str) -> None:
    net = Net(1).eval()
    if how == "deepcopy":
        twin = copy.deepcopy(net)
    else:
        file = io.BytesIO()
        joblib.dump(net, file)
        file.seek(0)
        twin = joblib.load(file)
    x = np.ones((2, 3), np.float32)
    np.testing.assert_array_equal(net(x).numpy(), twin(x).numpy())
    assert twin.again is twin.first and not twin.training and twin.rng_state() == net.rng_state()
    twin.first.weight.data[:] = 0
    assert net.first.weight.data.any()
    np.testing.assert_array_equal(values(twin.initialise(4))["first.weight"], values(net.initialise(4))["first.weight"])


def test_rng_state_resumes_dropout() -> None:
    x, net = np.ones((50, 3), np.float32), Net(1)
    state = net.rng_state()
    first = net(x).numpy()
    assert not np.array_equal(first, net(x).numpy())
    net.load_rng_state(state)
    np.testing.assert_array_equal(first, net(x).numpy())
    with pytest.raises(ValueError, match=r"the streams are \['drop.stream'\]"):
        net.load_rng_state({})
