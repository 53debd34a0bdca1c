"""docs/engines.md: every engine and option is there, and the engine it shows works."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import numpy as np
import pytest

from askesis.engines.open import open_engine
from askesis.engines.table import ENGINES
from askesis.errors import ModelError
from askesis.requests import Sampling, SayTokens, ScoreTokens
from tests.engines.cast import small_model

PAGE = (Path(__file__).parents[2] / "docs" / "engines.md").read_text()


def section(name: str) -> str:
    found = re.search(rf"^## {name}\n(.*?)(?=^## |\Z)", PAGE, re.S | re.M)
    assert found, f"docs/engines.md has no section {name!r}"
    return found[1]


@pytest.mark.parametrize("name", ENGINES)
def test_every_engine_has_a_section_that_names_all_its_options(name):
    engine = ENGINES[name].load()
    text = section(name)
    for option in list(inspect.signature(engine).parameters)[1:]:
        assert f"`{option}`" in text, f"option {option!r} of {name} is not on its page"


def test_the_engine_on_the_page_speaks_and_takes_options(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("my_engine.py").write_text(re.findall(r"```python\n(.*?)```", PAGE, re.S)[0])
    engine = open_engine("my_engine.py:Uniform?lowest=65&highest=90", small_model())
    context = np.array([1, 2, 3], np.int32)
    (said,) = engine.say([SayTokens(context, Sampling(max_tokens=20), 7, ())])
    assert len(said.tokens) == 20
    assert set(said.tokens) <= set(range(65, 91))
    (scores,) = engine.score([ScoreTokens(context, said.tokens)])
    np.testing.assert_array_equal(scores, said.logp_model)


def test_unknown_engines_and_options_are_refused_with_what_was_meant():
    with pytest.raises(ModelError, match="native"):
        open_engine("nativ", small_model())
    with pytest.raises(ModelError, match="max_rows"):
        open_engine("native?max_row=3", small_model())
    with pytest.raises(ModelError, match="expected int"):
        open_engine("native?max_rows=many", small_model())
    assert open_engine("native?max_rows=3&dtype=bfloat16", small_model()).max_rows == 3
