"""B-STaR: rejection-sampling fine-tuning that balances exploration and exploitation by itself."""

from __future__ import annotations

from typing import Any

from askesis.explore.steered import SteeredAttempts
from askesis.judge.process_reward import ProcessReward
from askesis.learn.learner import Learn
from askesis.measure.ability import Ability
from askesis.measure.exploration import Exploration
from askesis.measure.groups import Groups
from askesis.plan import Parts, Phase, Plan, Until
from askesis.select.steering import TENTHS, Controller, SteeredThreshold
from askesis.select.threshold import Threshold
from askesis.tasks.uniform import Uniform

RATER = "process-reward"


def b_star(
    temperatures: tuple[float, ...] = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2),
    thresholds: tuple[float, ...] = TENTHS,
    num_samples: int = 512,
) -> Plan:
    """Every round tries temperatures on a few tasks, takes the temperature and the threshold with
    the best balance score, works with them, and goes on learning from the last weights.

    temperatures, thresholds: candidates; one of each is a fixed setting, and costs no trying.
    num_samples: N, samples a round should give.
    """
    parts = Parts(
        tasks=Uniform(num=256),
        explore=SteeredAttempts(num_attempts=8),
        judge=ProcessReward(),
        controller=Controller(temperatures=temperatures, thresholds=thresholds, rater=RATER),
        select={"policy": SteeredThreshold(num_samples=num_samples, keep=Threshold(judge=RATER))},
        learn={"policy": Learn()},
    )
    measure = (Groups(), Ability(), Exploration(rater=RATER, target=2))
    phase = Phase(parts=parts, measure=measure, until=Until(rounds=9), round=steered_round)
    return Plan(recipe="b_star", phases=(phase,), truth="steps")


def steered_round(rd: Any, p: Parts) -> None:
    """Try, choose, and then a round as any other with what was chosen."""
    starts = rd.tasks(p.tasks)
    setting, selector = p.controller.fixed, p.select["policy"]
    if setting is None:
        few, warm = starts[: p.controller.num_tasks], p.controller.temperatures
        tried = rd.explore(p.explore, few, temperatures=warm, probing=True)
        found = rd.judge(p.judge, tried)
        rd.view.groups.clear()  # measures look at the round's own attempts
        setting = p.controller.choose(
            tried, found, num_samples=selector.num_samples, num_tasks=len(starts)
        )
    groups = rd.explore(p.explore, starts, temperatures=(setting.temperature,))
    verdicts = rd.judge(p.judge, groups)
    rd.learn("policy", p.learn["policy"], rd.select(selector, groups, verdicts, setting=setting))
