"""What RIVAL is compared with, drawn by the same networks, seam and sampling: `rival compare`."""
