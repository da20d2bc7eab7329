"""What the robot learns: sensors -> latent tokens -> predicted latents, from recorded rollouts.

    data -> encoder -> predictor -> jepa -> objectives -> train -> heads -> diagnostics

`worldmodel.types` holds the values that travel between the stages, and the axis letters used in every file.
"""
