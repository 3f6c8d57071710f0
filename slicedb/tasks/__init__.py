"""Tasks: what models do, one file each.

>>> from slicedb.tasks import TASKS
>>> list(TASKS)
['classification', 'multilabel', 'detection', 'regression', 'segmentation', 'scores']
>>> TASKS["detection"].primary
'map'
"""

from __future__ import annotations

from slicedb.metrics import METRICS
from slicedb.tasks.about import LOGGED, About
from slicedb.tasks.classification import Classification
from slicedb.tasks.detection import Detection
from slicedb.tasks.multilabel import Multilabel
from slicedb.tasks.regression import Regression
from slicedb.tasks.scores import Scores
from slicedb.tasks.segmentation import Segmentation
from slicedb.tasks.task import AlignedRows, AnyTask, Shown, ShownBox, ShownMap, Task, TruthColumn

TASKS: dict[str, AnyTask] = {}
"""Every task by its name."""


def register(task: AnyTask) -> None:
    """Add a task to the table, and its metrics to theirs."""
    TASKS[task.name] = task
    for metric in task.metrics:
        METRICS.add(metric)


for _task in (Classification(), Multilabel(), Detection(), Regression(), Segmentation(), Scores()):
    register(_task)

__all__ = [
    "LOGGED",
    "TASKS",
    "About",
    "AlignedRows",
    "AnyTask",
    "Shown",
    "ShownBox",
    "ShownMap",
    "Task",
    "TruthColumn",
    "register",
]
