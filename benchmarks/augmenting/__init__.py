"""Whether the advice of `meta-gan augment` holds on photographs that it never saw."""
