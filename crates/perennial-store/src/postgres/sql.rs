//! Every statement of the keeper, for the schema it lives in.

/// The server's clock in Unix milliseconds.
const NOW: &str = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint";

/// The statements. A change and its notice are one statement: either both are committed or neither.
pub(super) struct Sql {
    pub(super) load: String,
    /// Key, expiry, bytes, channel, notice: stores where there is no live record.
    pub(super) insert: String,
    /// The same, then the version that must be there.
    pub(super) update: String,
    pub(super) remove: String,
    pub(super) find: String,
    pub(super) sweep: String,
    pub(super) announce: String,
    pub(super) backlog: String,
    pub(super) forget: String,
    pub(super) check: String,
    pub(super) listen: String,
    /// The name of the channel on which changes are told.
    pub(super) channel: String,
}

impl Sql {
    pub(super) fn new(schema: &str) -> Self {
        let channel = format!("perennial_{schema}");
        Self {
            load: format!("SELECT version, expires, bytes FROM {schema}.records WHERE key = $1 AND expires > {NOW}"),
            insert: format!(
                "WITH stored AS (
                    INSERT INTO {schema}.records AS r (key, version, expires, bytes)
                    VALUES ($1, nextval('{schema}.versions'), $2, $3)
                    ON CONFLICT (key) DO UPDATE
                        SET version = EXCLUDED.version, expires = EXCLUDED.expires, bytes = EXCLUDED.bytes
                        WHERE r.expires <= {NOW}
                    RETURNING version)
                 SELECT version, pg_notify($4, $5) FROM stored"
            ),
            update: format!(
                "WITH stored AS (
                    UPDATE {schema}.records
                    SET version = nextval('{schema}.versions'), expires = $2, bytes = $3
                    WHERE key = $1 AND version = $6 AND expires > {NOW}
                    RETURNING version)
                 SELECT version, pg_notify($4, $5) FROM stored"
            ),
            remove: format!(
                "WITH gone AS (DELETE FROM {schema}.records WHERE key = $1 AND version = $2 RETURNING key)
                 SELECT key, pg_notify($3, $4) FROM gone"
            ),
            find: format!(
                "SELECT key, version, expires, bytes FROM {schema}.records
                 WHERE key BETWEEN $1 AND $2 AND expires > {NOW} LIMIT $3"
            ),
            sweep: format!(
                "WITH over AS (
                    SELECT key FROM {schema}.records WHERE expires <= {NOW}
                    ORDER BY expires LIMIT $1 FOR UPDATE SKIP LOCKED),
                 gone AS (DELETE FROM {schema}.records r USING over WHERE r.key = over.key RETURNING r.key)
                 SELECT key, pg_notify($2, 'c' || encode(key, 'hex')) FROM gone"
            ),
            announce: format!(
                "WITH said AS (
                    INSERT INTO {schema}.announcements AS a (key, until)
                    SELECT $1::bytea, $2::bigint WHERE $2::bigint > {NOW}
                    ON CONFLICT (key) DO UPDATE SET until = greatest(a.until, EXCLUDED.until)
                    RETURNING key)
                 SELECT key, pg_notify($3, $4) FROM said"
            ),
            backlog: format!("SELECT key, until FROM {schema}.announcements WHERE until > {NOW}"),
            forget: format!(
                "DELETE FROM {schema}.announcements WHERE key IN (
                    SELECT key FROM {schema}.announcements WHERE until <= {NOW}
                    ORDER BY until LIMIT $1 FOR UPDATE SKIP LOCKED)
                 RETURNING key"
            ),
            // A write: a standby, or a server that only reads, is not ready.
            check: format!("SELECT nextval('{schema}.versions')"),
            listen: format!("LISTEN {channel}"),
            channel,
        }
    }
}
