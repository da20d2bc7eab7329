"""The field's small worlds, in MuJoCo: TwoRooms, Reacher and PushT, one file each, for published numbers to stand beside."""
