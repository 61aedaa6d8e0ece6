"""What a trial is written as."""

FILES = ("metrics.csv", "predictions.h5ad", "split.json", "train.json", "predictions.png")
MODEL_FILE = "model.npz"
"""Written beside `FILES` where the predictor has parameters."""
