"""Models of many kinds of pictures: their training data, and task E, data sets that they never saw."""
