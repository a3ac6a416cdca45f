//! The tables, laid out once however many processes start together, and brought up to date by later versions.

use tokio_postgres::{Client, Transaction};

use super::failure::{Failure, newer_schema};

/// What each version of the schema adds to the one before. A step that was released is never changed.
const STEPS: &[fn(&str) -> String] = &[records_and_announcements];

fn records_and_announcements(schema: &str) -> String {
    // Sealed bytes do not compress: trying to costs time at every write.
    format!(
        "CREATE TABLE {schema}.records (
            key bytea PRIMARY KEY, version bigint NOT NULL, expires bigint NOT NULL, bytes bytea NOT NULL);
         ALTER TABLE {schema}.records ALTER COLUMN bytes SET STORAGE EXTERNAL;
         CREATE INDEX records_by_expiry ON {schema}.records (expires);
         CREATE SEQUENCE {schema}.versions;
         CREATE TABLE {schema}.announcements (key bytea PRIMARY KEY, until bigint NOT NULL);
         CREATE INDEX announcements_by_end ON {schema}.announcements (until);"
    )
}

/// Makes sure that the tables are there and of this version.
pub(super) async fn migrate(client: &mut Client, schema: &str) -> Result<(), Failure> {
    // The usual case needs no lock, nor the right to create anything.
    if let Some(found) = version(client, schema).await?
        && found == steps()
    {
        return Ok(());
    }
    let transaction = client.transaction().await?;
    // Whoever comes second waits here and finds everything done. The number is any that nothing else here uses.
    transaction.execute("SELECT pg_advisory_xact_lock(7012834221105)", &[]).await?;
    lay_out(&transaction, schema).await?;
    let current = transaction.query_one(&format!("SELECT version FROM {schema}.schema_version"), &[]).await?;
    let current: i32 = current.try_get(0)?;
    if current > steps() {
        return Err(Failure::Told(newer_schema(current, steps())));
    }
    for step in &STEPS[usize::try_from(current).unwrap_or(0)..] {
        transaction.batch_execute(&step(schema)).await?;
    }
    transaction.execute(&format!("UPDATE {schema}.schema_version SET version = $1"), &[&steps()]).await?;
    Ok(transaction.commit().await?)
}

/// The schema and the table that says its version, unless an administrator or an earlier start has made them.
async fn lay_out(transaction: &Transaction<'_>, schema: &str) -> Result<(), Failure> {
    if !exists(transaction.query_one("SELECT to_regnamespace($1) IS NOT NULL", &[&schema]).await?)? {
        transaction.batch_execute(&format!("CREATE SCHEMA {schema}")).await?;
    }
    let table = format!("{schema}.schema_version");
    if !exists(transaction.query_one("SELECT to_regclass($1) IS NOT NULL", &[&table]).await?)? {
        let made = format!("CREATE TABLE {table} (version integer NOT NULL); INSERT INTO {table} VALUES (0)");
        transaction.batch_execute(&made).await?;
    }
    Ok(())
}

async fn version(client: &Client, schema: &str) -> Result<Option<i32>, Failure> {
    let table = format!("{schema}.schema_version");
    if !exists(client.query_one("SELECT to_regclass($1) IS NOT NULL", &[&table]).await?)? {
        return Ok(None);
    }
    let row = client.query_opt(&format!("SELECT version FROM {table}"), &[]).await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?)
}

fn exists(row: tokio_postgres::Row) -> Result<bool, Failure> {
    Ok(row.try_get(0)?)
}

fn steps() -> i32 {
    i32::try_from(STEPS.len()).expect("a handful of steps")
}
