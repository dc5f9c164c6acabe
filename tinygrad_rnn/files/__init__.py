"""Files that no crash can tear, and the sealed ones that programs go on from."""
