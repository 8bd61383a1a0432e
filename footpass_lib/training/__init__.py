"""One loop for every model, with its losses, its schedule, the folder that a run is kept in, and several processes.

Start at ``train_epochs`` in ``fit``. Imports ``samples`` and ``models``; knows nothing of the study.
"""
