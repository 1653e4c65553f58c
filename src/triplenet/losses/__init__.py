"""What each method minimises: Eqs. (1) to (6) and the objective that joins them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triplenet.losses.loss_options import LossOptions

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

    from triplenet.losses.joint_objective import Objective

__all__ = ["LossOptions", "objective"]


def objective(name: str, options: LossOptions | None = None, *, group: ProcessGroup | None = None) -> Objective:
    """The objective of a method: the terms that the catalog names for it, weighted and summed.

    :param group: processes that share each batch in equal parts; the mean of their values is that of the whole batch
    :raises UnknownName: there is no such method
    """
    from triplenet.catalog import method
    from triplenet.losses.joint_objective import Objective
    from triplenet.losses.shared_batch import Processes

    return Objective(method(name).terms, options or LossOptions(), Processes(group))
