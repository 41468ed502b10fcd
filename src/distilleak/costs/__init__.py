"""What a study costs: forecast before it runs, and read from the benchmark files afterwards."""
