"""Works an expression out at one step after another, where each step costs as much as has changed.

Labels seldom change between two steps: which series there are, which groups they are in, which
elements of two sides match. So labels are only gone through when a series comes or goes, and a step
handles columns of numbers. Each node of an expression is a part that gives a column. A node for
which there is no quicker way is worked out by `evaluate` from the columns of its parts. The results
are those of `evaluate` in any case.
"""

from pushsvc.core.expression.live.column import Column
from pushsvc.core.expression.live.expression import Live, why_not

__all__ = ["Column", "Live", "why_not"]
