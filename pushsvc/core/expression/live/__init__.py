"""Working an expression out at step after step, where each costs what has changed.

What stays from step to step are the labels: which series there are, into which groups they fall,
which of two sides belong together. So they are gone through once, whenever a series comes or goes;
a step handles columns of numbers. Each node of an expression is a part that gives a column; a node
for which there is no quicker way is worked out by `evaluate` from the columns of its parts, and the
results are those of `evaluate` in any case.
"""

from pushsvc.core.expression.live.column import Column
from pushsvc.core.expression.live.expression import Live, why_not

__all__ = ["Column", "Live", "why_not"]
