"""What every store holds is graded the same."""

import random
from contextlib import closing

from jobs.grading.passes import grade_store
from schemas.grades import ALL
from stores.sqlite.reader import SqliteReader
from tests.jobs.test_live_grades import MODEL_OF_A_DAY, H, Kept, at, plan
from tests.model.worlds import MODELS


class GradingConformance:
    """Grades are the same whatever the store."""

    def test_grades_are_the_same_whatever_the_store(self, store, tmp_path):
        """To the last bit, with intervals; they are read as they were written."""
        rng = random.Random(3)
        world = [
            at(rng.randrange(6 * H), f"e{number}", rng.choice(["IM", "IM", "CL", "PS", "CN"]), f"u{rng.randrange(60)}")
            for number in range(900)
        ]
        kept = Kept(tmp_path / "other.db").take(*world)
        writer = store.writer()
        for rows in kept.run.scored:
            writer.write(rows)
        writer.flush()
        asked = plan(challenger=MODELS["decay"].model_copy(update={"horizon": MODEL_OF_A_DAY.horizon}), most=40)
        found = grade_store(store.reader(), asked)
        with closing(SqliteReader(kept.path)) as reader:
            assert grade_store(reader, asked).grades == found.grades
        assert {(each.model_id, each.kind) for each in found.grades if each.day == ALL and each.auc is not None} == {
            (name, kind) for name in ("seed", "decay") for kind in ("event", "clock")
        }
        assert 25 < found.looked_at < 55
        writer.write_grades(found.grades)
        writer.flush()
        by_key = {(each.model_id, each.kind, each.day): each for each in found.grades}
        assert store.reader().grades() == [by_key[key] for key in sorted(by_key)]
