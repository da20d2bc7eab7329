"""Many environments at once: `gymnasium.make_vec` on `mujoco.batch`, in worker processes."""
