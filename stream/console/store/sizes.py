"""What SQLite's planner is told of the tables: as they are when they are large.

Without statistics it takes a range for narrower than an id, and looks through all alerts for those
of one video. Those of a small table would be of no use when it has grown, and PostgreSQL keeps its
own. They say how many rows share the first column of an index, the first two, and so on.
"""

from sqlalchemy import Connection, text

ROWS = 1_000_000  # alerts; set by hand, as are the numbers below
OF_AN_INDEX: dict[str, tuple[int, ...]] = {
    "alerts_newest": (200_000, 1, 1),
    "alerts_longest": (200_000, 2, 1),
    "alerts_surest": (200_000, 20, 1),
    # Many, or a range of a holder's alerts would be taken for narrower than fifty uploads' ones.
    "owner_newest": (50_000, 20_000, 1, 1),
    "owner_longest": (50_000, 20_000, 1, 1),
    "owner_surest": (50_000, 20_000, 1, 1),
    "reference_newest": (50, 20, 1, 1),
    "reference_longest": (50, 20, 1, 1),
    "reference_surest": (50, 20, 1, 1),
    "alerts_of_video": (3, 2, 1, 1, 1, 1, 1, 1),
    "alerts_of_pair": (2,),
    "alerts_of_owners": (10,),
    "sqlite_autoindex_alerts_1": (1,),
}


def state_sizes(connection: Connection) -> None:
    """Write them down; connections that are opened from now on read them."""
    connection.execute(text("ANALYZE"))  # makes the table of statistics
    connection.execute(text("DELETE FROM sqlite_stat1"))
    rows = [
        {"index": index, "stat": " ".join(map(str, (ROWS, *shared)))}
        for index, shared in OF_AN_INDEX.items()
    ]
    insert = "INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('alerts', :index, :stat)"
    connection.execute(text(insert), rows)
    connection.execute(text("ANALYZE sqlite_schema"))
