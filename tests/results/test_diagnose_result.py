"""What docs/diagnose.md says of its own advice is what the study found."""

from __future__ import annotations

import json
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_page_says_whether_the_advice_is_better_than_simple_rules() -> None:
    page = " ".join((ROOT / "docs" / "diagnose.md").read_text().split())
    advice = json.loads((ROOT / "results" / "diagnose.json").read_text())["advice"]
    gained = {rule: found["gained"] for rule, found in advice.items()}
    is_better = gained.pop("diagnose") > max(gained.values())
    assert len(gained) == 2
    assert ("is *not* better than either simple rule" in page) is not is_better
