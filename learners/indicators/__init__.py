"""Indicators: what to make of a learner's predictions, one number each."""
