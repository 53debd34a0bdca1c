"""A snapshot that is kept from the end of a phase on."""

from __future__ import annotations

import pytest

from askesis.errors import ConfigError
from askesis.models.tabular import TabularModel
from askesis.retain.pin import Pin
from tests.explore.host import Host


def test_the_weights_at_the_end_of_a_phase_have_a_name_afterwards():
    model = TabularModel("policy", "ab")
    host = Host({"policy": model})
    host.shelf.learnt(model, 0)
    Pin(tag="begun").on_phase_end(host.context("retain"))
    host.shelf.learnt(model, 1)
    assert host.shelf.find("policy", "begun") == "policy@1"


def test_names_that_mean_something_else_and_models_that_are_not_there_are_refused():
    for tag in ("", "base", "previous", "phase_start", "best"):
        with pytest.raises(ConfigError, match=r"Pin\.tag"):
            Pin(tag=tag)
    with pytest.raises(ConfigError, match="no model of this run"):
        Pin(tag="begun", model="critic").on_phase_end(
            Host({"policy": TabularModel("policy", "ab")}).context("retain")
        )
