"""The paper's tables on the embedded model: `rival reproduce`.

exemplars  held-out pictures with captions        settings  the tables' rows
scores     one setting's pictures measured        tables    what was measured, beside the paper's figures
"""
