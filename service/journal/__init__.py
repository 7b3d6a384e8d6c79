"""Engines that keep the log."""
