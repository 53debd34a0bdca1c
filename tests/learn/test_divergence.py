"""Learning that runs away is stopped with the last good weights; bad budgets are named."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
import torch

from askesis.errors import ConfigError, ModelError
from askesis.learn.divergence import REFUSED, LearningDiverged, Watch
from askesis.learn.learner import Learn
from askesis.learn.step_report import StepReport
from askesis.models.tabular import TabularModel
from askesis.plan import Parts, Phase, Plan, Until
from askesis.run import Run, Watcher
from askesis.store.run_store import RunStore
from tests.learn.fakes import Learning, Net, samples
from tests.probes.house import Draw, LetterWorld, Weighted


def test_updates_that_are_refused_in_a_row_end_the_learning():
    @dataclass(frozen=True)
    class Never:
        coef: float = 1.0
        needs, uses, atom = frozenset(), frozenset({"logp"}), "sequence"

        def __call__(self, out: Any, batch: Any, norm: Any) -> Any:
            return out.logp.sum() * float("inf"), {}

    learn = Learn(objectives=(Never(),), num_updates=20, batch_tokens=60, learning_rate=0.3)
    ctx = Learning()
    with pytest.raises(
        LearningDiverged, match="5 updates in a row whose loss is not finite"
    ) as stop:
        learn.learn(ctx, Net(), samples(20), [])
    assert "learning-rate 0.1 or less" in str(stop.value) and "last good weights" in str(stop.value)
    assert "\n" not in str(stop.value)
    assert isinstance(stop.value, ModelError)
    assert ctx.counts["updates"] == 0


def test_a_learning_rate_that_diverges_ends_the_learning():
    learn = Learn(num_updates=60, batch_tokens=100, learning_rate=30.0)
    with pytest.raises(LearningDiverged, match="a loss that went from"):
        learn.learn(Learning(), Net(), samples(20), [])


def test_one_accident_or_a_loss_that_only_swings_ends_nothing():
    watch = Watch("policy", 1e-3)
    for i in range(40):
        watch.look(StepReport(loss=2.0 + 50 * (i % 2), refused="loss" if i % REFUSED else ""))


def test_weights_that_no_longer_make_sense_are_found_in_the_call_that_made_them():
    class Loud(Net):
        """What it says grows with its weights, without a bound."""

        def outputs(self, batch: Any, uses: frozenset[str]) -> Any:
            found = super().outputs(batch, uses)
            found.logp = found.logp * self.module.outer.weight.abs().max() ** 4
            return found

    for rate, expected in ((1e12, "is not finite"), (30.0, "nats for a token")):
        learn = Learn(num_updates=1, batch_tokens=1000, learning_rate=rate, max_grad_norm=0.0)
        with pytest.raises(LearningDiverged, match=expected) as stop:
            learn.learn(Learning(), Loud(), samples(20), [])
        assert f"learning-rate {rate / 3:.2g} or less" in str(stop.value)


# ---------------------------------------------------------------- in a run


@dataclass(frozen=True, kw_only=True)
class Fragile(Learn):
    """Learns well, until the model has learnt so often; then its weights run away."""

    breaks_at: int = field(default=3, metadata={"lazy": True})

    def learn(self, ctx: Any, model: Any, made: Any, hooks: Any) -> Any:
        found = super().learn(ctx, model, made, hooks)
        if model.version > self.breaks_at:
            with torch.no_grad():
                model.module.logits.fill_(float("nan"))
            raise LearningDiverged(model.name, "a loss that went from 1 to 999", 0.01)
        return found


class Hears(Watcher):
    def __init__(self) -> None:
        self.rounds: list[int] = []
        self.words: list[str] = []

    def round_ended(self, rd: Any, metrics: Any) -> None:
        self.rounds.append(rd.index)

    def said(self, message: str) -> None:
        self.words.append(message)


def begun(path: Any, breaks_at: int, rounds: int = 8, **options: Any) -> tuple[Run, TabularModel]:
    from askesis.explore.sample import SampleAttempts
    from askesis.judge.verifier import Verifier

    parts = Parts(
        tasks=Draw(num=4),
        explore=SampleAttempts(num_attempts=4, max_tokens=1),
        judge=Verifier(),
        select={"policy": Weighted(baseline=0.5)},
        learn={"policy": Fragile(breaks_at=breaks_at, learning_rate=0.03)},
    )
    plan = Plan(recipe="fragile", phases=(Phase(parts=parts, until=Until(rounds=rounds)),))
    model = TabularModel("policy", "abxy")
    return Run.create(plan, path, {"main": LetterWorld()}, {"policy": model}, **options), model


@pytest.mark.slow
@pytest.mark.parametrize("segment_s", [0.0, 1e9])
def test_a_run_whose_learning_diverges_ends_with_the_last_good_snapshot_and_says_so(
    tmp_path, segment_s
):
    good, expected = begun(tmp_path / "good", 99, rounds=3)
    good.improve()
    good.close()
    hears = Hears()
    run, model = begun(tmp_path / "run", 3, segment_s=segment_s, watchers=[hears])
    with pytest.raises(LearningDiverged) as stop:
        run.improve()
    run.close()
    said = str(stop.value)
    assert "\n" not in said and "found a loss that went from 1 to 999" in said
    assert "the run ends after round 3 with the last good snapshot, policy@3" in said
    assert f"askesis fork {tmp_path / 'run'} --at 3 --set learn.policy.learning-rate=0.01" in said
    # nothing but a closed segment with the weights that three good rounds make
    assert torch.equal(model.module.logits, expected.module.logits)
    store = RunStore.open(tmp_path / "run")
    assert [r["durable"] for r in store.rounds()] == [True] * 3
    assert store.segments()[-1].round == 2
    assert store.events("stopped")[-1]["data"]["why"].startswith("the learning")
    assert "policy@3" in {s["id"] for s in store.snapshots() if s["path"]}
    store.close()
    again = 3 if segment_s else 0  # rounds that were only in memory are made once more
    assert hears.rounds == [0, 1, 2, *range(again)]
    assert len(hears.words) == bool(again)


def test_a_run_that_diverges_in_its_first_round_ends_with_what_it_began_with(tmp_path):
    run, model = begun(tmp_path / "run", 0)
    with pytest.raises(LearningDiverged, match=r"ends after round 0 with .* policy@0"):
        run.improve()
    run.close()
    assert not model.module.logits.any()


@pytest.mark.slow
def test_what_the_message_says_to_type_goes_on_from_there(tmp_path):
    from askesis.lab.fork import fork

    run, _ = begun(tmp_path / "run", 3)
    with pytest.raises(LearningDiverged):
        run.improve()
    run.close()
    changes = [("learn.policy.learning-rate", "0.01"), ("learn.policy.breaks-at", "99")]
    assert any("0.01" in line for line in fork(tmp_path / "run", 3, tmp_path / "lower", changes))
    model = TabularModel("policy", "abxy")
    lower = Run.resume(tmp_path / "lower", {"main": LetterWorld()}, {"policy": model})
    assert lower.improve() == "the plan is done"
    lower.close()
    assert lower.position.total == 8 and model.module.logits.isfinite().all()
    # resumed without a change it diverges at the same place, and says the same
    same = Run.resume(tmp_path / "run", {"main": LetterWorld()}, {"policy": model})
    with pytest.raises(LearningDiverged, match="ends after round 3"):
        same.improve()
    same.close()


def test_a_budget_smaller_than_one_sample_says_what_to_type():
    with pytest.raises(ConfigError, match=r"at most 10 tokens.*--learn.policy.batch-tokens \d\d"):
        Learn(batch_tokens=10).learn(Learning(), Net(), samples(20), [])
