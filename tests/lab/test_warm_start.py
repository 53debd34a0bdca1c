"""Starts that everybody shares: the same ones as ever, and never one for another."""

from __future__ import annotations

import hashlib
from dataclasses import fields, replace

import pytest

from askesis.lab import warm_start
from askesis.lab.warm_start import DEFAULT, WarmStart, start_key
from askesis.rng import Streams
from askesis.tasks.uniform import distinct_tasks, pool_key
from askesis.worlds.open import open_world

# As commit a2ccfee made them, with which all results of issues 2 to 5 were measured. Where one of
# these changes, every experiment there is would begin again from another start.
AS_EVER = {
    "countdown": "countdown-v1-24d021774227",
    "chain_arithmetic": "chain_arithmetic-v1-a11448a356c0",
    "preferences": "preferences-v1-a95641d0fdd6",
    "preferences?noise=0.2": "preferences-v1?noise=0.2-433388bcd590",
    "countdown?difficulty=0.7": "countdown-v1?difficulty=0.7-c54ccbab4885",
    "maze": "maze-v1-cc62803e2295",
    "garden_path": "garden_path-v1-ff909a0aab7e",
}


@pytest.mark.parametrize("spec", AS_EVER)
def test_starts_keep_their_names(spec):
    assert start_key([open_world(spec)], WarmStart()) == AS_EVER[spec]


def test_a_field_that_comes_later_changes_no_name_while_it_is_at_its_default():
    later = {f.name for f in fields(WarmStart)} - warm_start._ALWAYS
    for name in later:
        assert name not in start_key([open_world("countdown")], DEFAULT)
    assert len(warm_start._ALWAYS) == 10  # nothing is added to these


def test_other_demonstrations_are_other_starts():
    worlds = [open_world("countdown")]
    others = [
        {"habit": "backtrack"}, {"habit": "filler:backtrack"}, {"demonstrations": 1000},
        {"held_out": 100}, {"seed": 1}, {"max_updates": 10}, {"learning_rate": 1e-3},
    ]  # fmt: skip
    keys = [start_key(worlds, replace(DEFAULT, **other)) for other in others]
    keys += [start_key(worlds, DEFAULT)]
    keys += [start_key([open_world(s)], DEFAULT) for s in ("garden_path", "garden_path?share=0.06",
             "maze", "maze?difficulty=0.2", "preferences", "preferences?noise=0.2")]  # fmt: skip
    keys.append(start_key([*worlds, open_world("maze")], DEFAULT))
    assert len(set(keys)) == len(keys)


def test_a_world_in_a_user_s_file_is_another_one_when_the_file_has_changed(tmp_path):
    from askesis import config

    place = tmp_path / "mine.py"
    text = "from askesis.worlds.maze import Maze\n\n\nclass Mine(Maze):\n    id = 'mine-v1'\n"
    keys = []
    for more in ("", "    max_answer_tokens = 50\n"):
        place.write_text(text + more)
        config._loaded.pop(place.resolve(), None)
        keys.append(start_key([open_world(f"{place}:Mine")], DEFAULT))
    assert keys[0] != keys[1] and all(k.startswith("mine-v1-") for k in keys)


# blake2b over the prompts and plain demonstrations of the first 40 tasks, as a start draws them.
# A start is named by the world's id: where these change, WARM_VERSION or the world's version must
# rise, or cached starts are not what the code says.
DEMONSTRATED = {
    "countdown": "71d69ce2a831",
    "chain_arithmetic": "bef1f17cefe1",
    "addition": "93fb262c7a72",
    "maze": "7a1e21979ea4",
    "preferences": "3b870557d922",
    "garden_path": "b9fdfd0462e3",
}


@pytest.mark.parametrize("spec", DEMONSTRATED)
def test_what_starts_learn_is_what_it_was(spec):
    world = open_world(spec)
    rng = Streams(0).generator("warm start", world.id)
    digest = hashlib.blake2b(digest_size=6)
    for task in distinct_tasks(world, pool_key(0), 40, None):
        digest.update(f"{task.prompt}\x1f{world.demonstrate(task, rng)}\x1e".encode())
    assert digest.hexdigest() == DEMONSTRATED[spec]
