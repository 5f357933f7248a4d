-- The tables of the embedded store. Every write is an upsert, keyed by the data and versioned by what the row had seen.
-- Where senders disagree about an event, its body is the greater type's; of one type, each column by itself keeps the
-- greater value, in the order of its bytes in Cassandra, so that both stores show the same.

CREATE TABLE IF NOT EXISTS store (
  id TEXT NOT NULL -- one row, drawn when the file is made: identifies the store
);

-- What filled the store, one row of JSON (schemas/provenance.py): events of another world are refused.
CREATE TABLE IF NOT EXISTS provenance (
  told TEXT NOT NULL
);

-- The last status of each process of the flow, in JSON (schemas/flow_status.py).
CREATE TABLE IF NOT EXISTS flow_status (
  process INTEGER NOT NULL PRIMARY KEY,
  status  TEXT    NOT NULL
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
  version    INTEGER NOT NULL, -- the higher version wins
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
  model_id   TEXT    NOT NULL,
  best_action TEXT,             -- next best action; null, as gain and net, where there is none
  gain       REAL,              -- by how much it would raise the propensity
  net        REAL,              -- gain x value of a conversion - cost
  hold_out   INTEGER NOT NULL   -- 1: control group, do not target
) WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS latest_by_propensity ON latest_propensity (propensity);
CREATE INDEX IF NOT EXISTS latest_by_time ON latest_propensity (event_time);

-- One row a conversion event that was credited; its touches are in touch_credit, and are replaced all together with it.
-- Part: order is the first event of an order, and one conversion; item is one more event of it, refund takes revenue
-- back, and both have the touches of the order; repeat is the event id of one of them once more, and counts nothing.
CREATE TABLE IF NOT EXISTS conversion_credit (
  user_id    TEXT    NOT NULL,
  event_time INTEGER NOT NULL, -- the conversion's
  event_key  INTEGER NOT NULL,
  part       TEXT    NOT NULL, -- order, item, refund or repeat
  order_time INTEGER NOT NULL, -- when the order began; of a refund without one its own time
  version    INTEGER NOT NULL, -- the higher version wins
  model_id   TEXT    NOT NULL,
  PRIMARY KEY (user_id, event_time DESC, event_key)
) WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS credit_by_order ON conversion_credit (order_time);

-- The share of each touch before a conversion by each rule, and last the share of no touch, the baseline. Of one
-- conversion the shares sum up to 1 by each rule.
CREATE TABLE IF NOT EXISTS touch_credit (
  user_id    TEXT    NOT NULL,
  event_time INTEGER NOT NULL, -- the conversion's
  event_key  INTEGER NOT NULL,
  place      INTEGER NOT NULL, -- 0 is the oldest touch
  touch_time INTEGER NOT NULL, -- 0 for the baseline
  touch_key  INTEGER NOT NULL,
  type       TEXT    NOT NULL, -- of the touch; empty for the baseline
  campaign   TEXT    NOT NULL,
  credit     REAL    NOT NULL, -- by the model
  last       REAL    NOT NULL,
  first      REAL    NOT NULL,
  linear     REAL    NOT NULL,
  time_decay REAL    NOT NULL,
  position   REAL    NOT NULL,
  PRIMARY KEY (user_id, event_time DESC, event_key, place)
) WITHOUT ROWID;

-- The sums: conversions (orders) and revenue (less what refunds took back) by UTC day of the order, campaign and type of
-- the touch, and rule.
CREATE VIEW IF NOT EXISTS credit_by_day AS
SELECT date(order_time / 1000, 'unixepoch') AS day, touch.campaign, touch.type,
  sum((part = 'order') * credit) AS credit, sum((part = 'order') * last) AS last,
  sum((part = 'order') * first) AS first, sum((part = 'order') * linear) AS linear,
  sum((part = 'order') * time_decay) AS time_decay, sum((part = 'order') * position) AS position,
  sum(revenue * credit) AS credit_revenue, sum(revenue * last) AS last_revenue, sum(revenue * first) AS first_revenue,
  sum(revenue * linear) AS linear_revenue, sum(revenue * time_decay) AS time_decay_revenue,
  sum(revenue * position) AS position_revenue
FROM conversion_credit JOIN touch_credit AS touch USING (user_id, event_time, event_key)
  JOIN propensity_by_user USING (user_id, event_time, event_key)
WHERE part <> 'repeat'
GROUP BY day, touch.campaign, touch.type;

CREATE TABLE IF NOT EXISTS dead_letters (
  source      TEXT    NOT NULL,
  "partition" INTEGER NOT NULL,
  "offset"    INTEGER NOT NULL,
  reason      TEXT    NOT NULL,
  detail      TEXT    NOT NULL,
  payload     BLOB    NOT NULL,
  PRIMARY KEY (source, "partition", "offset")
) WITHOUT ROWID;

-- Erased users: events up to then are dropped whenever they arrive. Nothing else of the person is kept.
CREATE TABLE IF NOT EXISTS erasures (
  user_hash INTEGER NOT NULL PRIMARY KEY, -- xxh3-64 of the user id, signed
  until     INTEGER NOT NULL              -- event time, ms since 1970
) WITHOUT ROWID;

-- The models that score rows: the newest that is valid at the event's time. The first is valid from the least time.
CREATE TABLE IF NOT EXISTS models (
  valid_from INTEGER NOT NULL PRIMARY KEY, -- event time, ms since 1970
  model_id   TEXT    NOT NULL,
  file       TEXT    NOT NULL              -- the model file, JSON
) WITHOUT ROWID;

-- The quality of scores, measured once their labels are known; of one key the newer grade stays.
CREATE TABLE IF NOT EXISTS grades (
  model_id      TEXT    NOT NULL,
  kind          TEXT    NOT NULL, -- event: right after one; clock: at a clock time
  day           TEXT    NOT NULL, -- UTC, as 2017-06-22, or all
  role          TEXT    NOT NULL, -- model, or challenger
  rows          INTEGER NOT NULL,
  users         INTEGER NOT NULL,
  positives     INTEGER NOT NULL, -- rows with an order within the model's horizon
  graded_until  INTEGER NOT NULL, -- event time, ms since 1970: the last moment whose label was known
  version       INTEGER NOT NULL, -- the higher version wins
  auc           REAL,             -- these are empty where all rows have one label; _low and _high: 95% over users
  auc_low       REAL,
  auc_high      REAL,
  log_loss      REAL,
  base_log_loss REAL,
  information   REAL,             -- 1 - log_loss / base_log_loss
  information_low  REAL,
  information_high REAL,
  observed_over_expected      REAL,
  observed_over_expected_low  REAL,
  observed_over_expected_high REAL,
  brier         REAL,
  PRIMARY KEY (model_id, kind, day)
) WITHOUT ROWID;
