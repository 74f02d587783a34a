"""The paper's tables on the embedded model, and how good that model is: `rival reproduce`.

reproduce   what the command does                 experiment  one model and judge over the exemplars
exemplars   held-out pictures with captions       settings  the tables' rows
scores      one setting's pictures measured       tables    what was measured, beside what was wanted
divergence  how far the two chains are apart      figures   pictures and charts
quality     the model's own figures               store     results on disk, so that a run goes on
sequences   sequences of pictures measured
returning, editing, concepts, interpolating, between_photos, baselines: what each says, measured for a table of its own
"""
