"""What stands in the world: table, bin, rack and objects as MuJoCo parts, and the simulation that they make with a robot."""
