"""One thread, so that equal computations give equal bits, and a study that is made once."""

import pytest
import torch
from tiny_study import Study, make_study

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return make_study(tmp_path_factory.mktemp("study"))
