"""What a study costs: a forecast before it runs, and the benchmark files afterwards."""
