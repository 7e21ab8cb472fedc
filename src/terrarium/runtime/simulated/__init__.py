"""The simulated runtime: plays the commands it knows on the world's clock, with no process behind them."""
