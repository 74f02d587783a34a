"""Measures of pictures: Appendix E of RIVAL, and what else tells a good variation from a bad one."""
