"""The finished little run that tests of commands read."""

from tests.lab.letters_run import finished, letters_run  # noqa: F401
