"""The benchmark: commands acknowledged a second, and what each costs, beside the design that Polystream replaces."""
