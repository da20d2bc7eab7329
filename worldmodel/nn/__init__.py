"""The layers that encoder, predictor and heads are built of."""
