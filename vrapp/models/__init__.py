"""The networks, one self-contained file each; they import torch alone."""
