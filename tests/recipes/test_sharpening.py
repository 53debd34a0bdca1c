"""Sharpening on tables: what is picked, who said it, and the distribution the pairs end at."""

from __future__ import annotations

import numpy as np
import pytest

from askesis.models.tabular import TabularModel
from askesis.worlds.views import Blind
from tests.measure.test_sharpness import Listed, table
from tests.probes.house import probability
from tests.recipes.letters import metrics_of, on_letters

QUICK = [("num-attempts", "4"), ("measure.sharpness.num-tasks", "8"), ("measure-every", "1")]


def model() -> dict[str, TabularModel]:
    return {"policy": table((0.6, 0.4), (0.3, 0.7))}


@pytest.mark.slow
def test_the_likeliest_of_the_first_models_answers_is_learnt_in_every_round(tmp_path):
    options = [("rounds", "3"), ("learn.policy.learning-rate", "0.3")]
    world = Blind(Listed())  # as `askesis run` hands it over
    run = on_letters("sharpening", tmp_path / "run", *QUICK, *options, world=world, models=model())
    value = {v.about.attempt: v.value for v in run.store.read("verdicts")}
    attempts = {a.id: a for a in run.store.read("attempts")}
    assert {t.speaker for a in attempts.values() for t in a.turns} == {"policy@0"}
    picked = [s.sources[0] for s in run.store.read("samples")]
    # a task drawn twice in a round gives one sample: its likeliest answer over all its attempts
    assert len(picked) == len({(p.split(".")[0], attempts[p].task.id) for p in picked}) == 6
    for name in picked:
        task = attempts[name].task.id
        siblings = [value[a.id] for a in attempts.values()
                    if a.id.split(".")[0] == name.split(".")[0] and a.task.id == task]  # fmt: skip
        assert value[name] == max(siblings)
    mass = [metrics_of(run, i)["measure/sharpness/favourite_mass"] for i in range(3)]
    assert mass[2] > mass[0] > 0.65 and mass[2] > 0.8
    assert not [m for m in run.store.metrics() if "right" in m["key"]]
    run.store.close()


def test_with_truth_declared_the_figures_about_right_answers_are_there(tmp_path):
    options = [("rounds", "1"), ("truth", "answers")]
    run = on_letters(
        "sharpening", tmp_path / "run", *QUICK, *options, world=Listed(), models=model()
    )
    assert metrics_of(run, 0)["measure/sharpness/favourite_right"] == 1.0
    run.store.close()


@pytest.mark.slow
@pytest.mark.parametrize("form", ["pairs", "exploring"])
def test_pairs_end_at_the_first_model_to_a_higher_power(tmp_path, form):
    options = [("form", form), ("beta", "1.0"), ("bonus-coef", "0"), ("rounds", "40"), ("num-attempts", "16"),
               ("learn.policy.learning-rate", "0.03"), ("measure-every", "99")]  # fmt: skip
    run = on_letters("sharpening", tmp_path / "run", *options, world=Listed(), models=model())
    squared = np.square([[0.6, 0.4], [0.3, 0.7]])
    wanted = squared / squared.sum(1, keepdims=True)  # 1 + 1/beta = 2
    for prompt, row in zip("ab", wanted, strict=True):
        found = [probability(run.models["policy"], prompt, c) for c in "xy"]
        assert found == pytest.approx(row.tolist(), abs=0.03)
    run.store.close()


@pytest.mark.slow
def test_only_the_exploring_form_draws_from_the_policy(tmp_path):
    for form, speakers in (("pairs", {"policy@0"}), ("exploring", {"policy@0", "policy@1"})):
        options = [("form", form), ("rounds", "2"), ("measure-every", "99")]
        run = on_letters(
            "sharpening", tmp_path / form, *QUICK[:1], *options, world=Listed(), models=model()
        )
        said = [t for a in run.store.read("attempts", {"round": 1}) for t in a.turns]
        assert {t.speaker for t in said} == speakers
        assert {t.role for t in said} == {"first" if form == "pairs" else "policy", "second"}
        run.store.close()
