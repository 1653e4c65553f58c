"""The settings of torch that a training needs, and what is as before afterwards."""

import pytest
import torch

from triplenet.errors import BadRecipe
from triplenet.training import device as devices
from triplenet.training.device import check_compiler, computing


def settings():
    return (
        torch.get_num_threads(),
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.utils.deterministic.fill_uninitialized_memory,
        torch.backends.cudnn.benchmark,
        torch.backends.cudnn.allow_tf32,
        torch.backends.cuda.matmul.allow_tf32,
        torch.initial_seed(),
    )


@pytest.mark.parametrize("deterministic", [False, True])
def test_settings_are_as_before_afterwards_also_after_an_error(deterministic):
    torch.use_deterministic_algorithms(True, warn_only=True)
    before = settings()
    try:
        with (
            pytest.raises(ZeroDivisionError),
            computing(torch.device("cpu"), 1, seed=5, deterministic=deterministic),
        ):
            assert torch.initial_seed() == 5
            assert not torch.backends.cudnn.allow_tf32  # float32 is float32
            assert torch.is_deterministic_algorithms_warn_only_enabled() != deterministic
            1 / 0  # noqa: B018
        assert settings() == before
    finally:
        torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize(
    ("triton", "programs", "capability", "lacking"),
    [
        (True, {"gcc"}, (9, 0), None),
        (False, {"gcc"}, (9, 0), "needs Triton"),
        (True, set(), (9, 0), "needs a C compiler"),
        (True, {"cc"}, (6, 1), "capability 7"),
        (False, set(), (9, 0), "Triton and a C compiler"),
    ],
)
def test_what_compiling_for_a_gpu_lacks_is_named(monkeypatch, triton, programs, capability, lacking):
    monkeypatch.setattr(devices, "find_spec", lambda name: "there" if triton else None)
    monkeypatch.setattr("shutil.which", lambda name: name if name in programs else None)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.delenv("CC", raising=False)
    if lacking is None:
        check_compiler(torch.device("cuda"))
        return
    with pytest.raises(BadRecipe, match=lacking):
        check_compiler(torch.device("cuda"))
