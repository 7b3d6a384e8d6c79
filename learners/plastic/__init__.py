"""A network of one event at a time: its learning rule and its options are parts to be chosen."""
