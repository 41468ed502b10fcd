"""Privacy statistics: rates, thresholds, intervals and comparisons; arrays in, arrays out."""
