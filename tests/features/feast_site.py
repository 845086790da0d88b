"""A small Feast repository that is served: `python feast_site.py FOLDER PORT`, in a Python with Feast."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

CONFIG = """\
project: shop
registry: registry.db
provider: local
online_store: {type: sqlite, path: online.db}
entity_key_serialization_version: 3
"""


def serve(folder: Path, port: int) -> None:
    """u1 is gold, u2 has no tier, others are not known."""
    import pandas as pd
    from feast import (
        Entity,
        FeatureStore,
        FeatureView,
        Field,
        FileSource,
        ValueType,
    )
    from feast.types import (
        Bool,
        Float64,
        String,
    )

    (folder / "feature_store.yaml").write_text(CONFIG)
    now = datetime.now(UTC)
    users = {"user_id": ["u1", "u2"], "tier": ["gold", None], "age": [41.0, 12.5]}
    users |= {"known": [True, False], "at": [now - timedelta(hours=1), now - timedelta(hours=2)]}
    path = folder / "users.parquet"
    pd.DataFrame(users).to_parquet(path)
    user = Entity(name="user", join_keys=["user_id"], value_type=ValueType.STRING)
    source = FileSource(path=str(path), timestamp_field="at")
    kinds = {"tier": String, "age": Float64, "known": Bool}
    schema = [Field(name=name, dtype=kind) for name, kind in kinds.items()]
    day = timedelta(days=1)
    view = FeatureView(name="stats", entities=[user], ttl=day, schema=schema, source=source)
    store = FeatureStore(str(folder))
    store.apply([user, view])
    store.materialize(now - 2 * day, now)
    store.serve(host="127.0.0.1", port=port, type_="http", no_access_log=True)


if __name__ == "__main__":
    serve(Path(sys.argv[1]), int(sys.argv[2]))
