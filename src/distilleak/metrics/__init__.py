"""Statistics of privacy: rates, thresholds, intervals, comparisons; arrays in, arrays out."""
