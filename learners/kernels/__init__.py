"""Compiled inner loops: functions over arrays and scalars, imported by learners alone."""
