"""Alarms: what a run's own figures say is going wrong. See docs/alarms.md."""
