-- The tables of the embedded store. Every write is an upsert, keyed by the data and versioned by what the row had seen.
-- Where senders disagree about an event, its body is the greater type's; of one type, each column by itself keeps the
-- greater value, in the order of its bytes in Cassandra, so that both stores show the same.

CREATE TABLE IF NOT EXISTS store (
  id TEXT NOT NULL -- one row, drawn when the file is made: tells it from another of its name
);

CREATE TABLE IF NOT EXISTS propensity_by_user (
  user_id    TEXT    NOT NULL,
  event_time INTEGER NOT NULL, -- ms since 1970
  event_key  INTEGER NOT NULL, -- xxh3-64 of the event id, signed
  event_id   TEXT    NOT NULL,
  event_type TEXT    NOT NULL,
  state      TEXT    NOT NULL,
  segment    TEXT    NOT NULL,
  campaign   TEXT    NOT NULL,
  publisher  TEXT    NOT NULL,
  product    TEXT    NOT NULL,
  quantity   INTEGER NOT NULL,
  revenue    REAL    NOT NULL,
  propensity REAL    NOT NULL, -- right after the event
  seen       INTEGER NOT NULL, -- the user's distinct events up to and including this one
  version    INTEGER NOT NULL, -- the greater is the truer
  model_id   TEXT    NOT NULL,
  PRIMARY KEY (user_id, event_time DESC, event_key)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS latest_propensity (
  user_id    TEXT    NOT NULL PRIMARY KEY,
  event_time INTEGER NOT NULL,
  event_key  INTEGER NOT NULL,
  event_type TEXT    NOT NULL,
  propensity REAL    NOT NULL,
  seen       INTEGER NOT NULL,
  version    INTEGER NOT NULL,
  model_id   TEXT    NOT NULL
) WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS latest_by_propensity ON latest_propensity (propensity);
CREATE INDEX IF NOT EXISTS latest_by_time ON latest_propensity (event_time);

CREATE TABLE IF NOT EXISTS dead_letters (
  source      TEXT    NOT NULL,
  "partition" INTEGER NOT NULL,
  "offset"    INTEGER NOT NULL,
  reason      TEXT    NOT NULL,
  detail      TEXT    NOT NULL,
  payload     BLOB    NOT NULL,
  PRIMARY KEY (source, "partition", "offset")
) WITHOUT ROWID;

-- Who was erased: events of the user up to then, of any time of arrival, are dropped. Nothing else of the person is kept.
CREATE TABLE IF NOT EXISTS erasures (
  user_hash INTEGER NOT NULL PRIMARY KEY, -- xxh3-64 of the user id, signed
  until     INTEGER NOT NULL              -- event time, ms since 1970
) WITHOUT ROWID;
