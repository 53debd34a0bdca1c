"""Families of problems that know the truth, environments, and adapters to data and libraries."""
