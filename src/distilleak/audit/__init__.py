"""Whether a finished student may be shipped: a policy, a verdict, a page."""
