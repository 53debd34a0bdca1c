"""What `--dry-run` may do to find out what a run will cost."""

from __future__ import annotations

from dataclasses import replace

import pytest

from askesis.errors import ModelError
from askesis.lab.begin import plan_for
from askesis.lab.estimate import measure
from askesis.plan import ModelSpec


def test_an_endpoint_is_never_paid_for_an_estimate():
    plan = replace(
        plan_for("rft"), models={"policy": ModelSpec(source="openai:large?url=http://x")}
    )
    with pytest.raises(ModelError, match="without paying"):
        measure(plan, None)
