"""Any arm of the study as a method by itself."""

import dataclasses

from jaxtyping import Array, Key

from jaxmtl.data.folds import Data, Folds
from jaxmtl.methods.method import Fitted, Work, checked_keys
from jaxmtl.methods.study.arm import Arm
from jaxmtl.methods.study.bench import Bench, StudyProtocol


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class StudyMethod:
    """An arm with what it stands on.

    Attributes:
        arm: what is trained.
        protocol: what is common to all arms.
        bench: on which a schedule has been laid down; used for the very data, folds and keys that
            it was made of. For others, or if None, the arm lays one down for itself first.

    Example:
        >>> from jaxmtl.methods.study.arms import find_arm
        >>> StudyMethod(arm=find_arm("mmoe"), protocol=StudyProtocol()).name
        'mmoe'
    """

    arm: Arm
    protocol: StudyProtocol
    bench: Bench | None = None

    @property
    def name(self) -> str:
        """Of the arm."""
        return self.arm.name

    @property
    def description(self) -> str:
        """Of the arm."""
        return self.arm.description

    def fit(
        self, data: Data, folds: Folds, keys: Key[Array, " folds"] | None, work: Work
    ) -> Fitted:
        """Trains the arm; see ``Method.fit``."""
        keys = checked_keys(self.name, keys, folds)
        bench = self.bench
        protocol = self.protocol if bench is None else bench.protocol
        if (why := self.arm.why_not(protocol)) is not None:
            raise ValueError(f"{self.name}: {why}")
        if bench is None or not bench.is_of(data, folds, keys):
            bench = Bench(self.protocol, data, folds, keys, work)
        return self.arm.run(bench)
