"""Training: the loop, what happens beside it, and checkpoints that survive it."""

from ..files.checkpoint import CheckpointError
from .callbacks import ProgressBar, Saver, every
from .curve import smoothed, write_curve
from .folder import Checkpoints
from .layers import load_layer, save_layer
from .loop import Training
from .run import Options, Run, Saved, checkpoint_path, read
from .updates import Diverged, Interrupted, Updates

__all__ = ["CheckpointError", "Checkpoints", "Diverged", "Interrupted", "Options", "ProgressBar", "Run", "Saved",
           "Saver", "Training", "Updates", "checkpoint_path", "every", "load_layer", "read", "save_layer", "smoothed",
           "write_curve"]
