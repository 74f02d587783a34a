"""Networks only: the modules of Stable Diffusion, named as their checkpoints name them; no method lives here."""
