"""Two real processes learn what one learns."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest
import torch

from askesis.learn.several_processes import processes
from tests.learn.test_packed_learning import attempts, small

SCRIPT = """
import sys, torch
torch.set_num_threads(1)
from askesis.learn.learner import Learn
from askesis.learn.several_processes import processes
from tests.learn.fakes import Learning
from tests.learn.test_packed_learning import attempts, small

here = processes()
assert here.num == 2
made = here.together(attempts(6) if here.rank == 0 else [])
model = small()
found = Learn(num_updates=3, batch_tokens=200, micro_batch_tokens=60).learn(Learning(), model, made, [])
weights = torch.cat([t.flatten() for t in model.weights().values()])
torch.save((weights, found), f"{sys.argv[1]}/{here.rank}.pt")
here.close()
"""


def test_a_process_started_alone_shares_with_nobody(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert processes() is None


@pytest.mark.slow
def test_two_processes_make_the_updates_of_one(tmp_path):
    from askesis.learn.learner import Learn
    from tests.learn.fakes import Learning

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    common = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2"}
    common |= {"ACCELERATE_USE_CPU": "true", "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    started = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(tmp_path)],
            env=common | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in (0, 1)
    ]
    for process in started:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    model = small()
    learn = Learn(num_updates=3, batch_tokens=200, micro_batch_tokens=60)
    expected = learn.learn(Learning(), model, attempts(6), [])
    one = torch.cat([t.flatten() for t in model.weights().values()])
    found = [torch.load(tmp_path / f"{rank}.pt", weights_only=False) for rank in (0, 1)]
    assert torch.equal(found[0][0], found[1][0])
    torch.testing.assert_close(found[0][0], one, rtol=1e-9, atol=1e-12)
    assert found[0][1] == pytest.approx(expected, rel=1e-9)
