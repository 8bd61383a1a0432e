"""The study itself: profiles, a stage a model, the rungs of the ablation, and the records that notebooks leave.

Start at ``plans`` and ``place``, then ``taad``. Imports everything below it; only ``book`` and ``commands`` stand
above.
"""
