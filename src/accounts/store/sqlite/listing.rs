//! Pages of accounts from SQLite, each read from an index in its order.

use sqlx::{QueryBuilder, Row, Sqlite};

use super::{Store, rows};
use crate::accounts::store::{Listed, Listing, Prefix, StoreError};

/// Sorts behind everything that can follow a prefix.
const LAST: char = char::MAX;

impl Store {
    pub async fn list(&self, listing: &Listing<'_>) -> Result<Listed, StoreError> {
        let mut count = filtered("SELECT count(*) AS total", listing);
        let mut page = ordered("SELECT *", listing);
        self.health
            .watch(async {
                let total = count.build().fetch_one(&self.reader).await?;
                let accounts = page.build().fetch_all(&self.reader).await?;
                Ok(Listed {
                    accounts: accounts
                        .iter()
                        .map(rows::account)
                        .collect::<Result<_, _>>()?,
                    total: total.try_get("total")?,
                })
            })
            .await
    }
}

fn filtered(what: &str, listing: &Listing<'_>) -> QueryBuilder<Sqlite> {
    let mut query = QueryBuilder::new(what);
    query.push(if listing.is_deleted {
        " FROM users WHERE deleted_at IS NOT NULL"
    } else {
        " FROM users WHERE deleted_at IS NULL"
    });
    if let Some(tier) = listing.tier {
        query.push(" AND tier = ").push_bind(tier.to_owned());
    }
    if let Some(prefix) = listing.prefix {
        let (column, prefix) = match prefix {
            Prefix::Username(prefix) => ("username", prefix),
            Prefix::Email(prefix) => ("email_folded", prefix),
        };
        query.push(format_args!(" AND {column} >= "));
        query.push_bind(prefix.to_owned());
        query.push(format_args!(" AND {column} < "));
        query.push_bind(format!("{prefix}{LAST}"));
    }
    query
}

fn ordered(what: &str, listing: &Listing<'_>) -> QueryBuilder<Sqlite> {
    let mut query = filtered(what, listing);
    query.push(match listing.prefix {
        Some(Prefix::Email(_)) => " ORDER BY email_folded LIMIT ",
        _ => " ORDER BY username LIMIT ",
    });
    query.push_bind(listing.limit).push(" OFFSET ");
    query.push_bind(listing.offset);
    query
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_page_comes_from_an_index_in_its_order() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("x.db")).await.unwrap();
        let any = Listing {
            prefix: None,
            tier: None,
            is_deleted: false,
            offset: 0,
            limit: 10,
        };
        let username = Some(Prefix::Username("an"));
        let email = Some(Prefix::Email("an"));
        let tier = Some("pro");
        for (listing, index) in [
            (any, "users_present"),
            (Listing { tier, ..any }, "users_present_by_tier (tier=?)"),
            (
                Listing {
                    prefix: username,
                    ..any
                },
                "users_present (username>? AND username<?)",
            ),
            (
                Listing {
                    prefix: username,
                    tier,
                    ..any
                },
                "users_present_by_tier (tier=? AND username>? AND username<?)",
            ),
            (
                Listing {
                    prefix: email,
                    ..any
                },
                "users_present_by_email (email_folded>? AND email_folded<?)",
            ),
            (
                Listing {
                    is_deleted: true,
                    ..any
                },
                "users_deleted",
            ),
        ] {
            for (mut query, access) in [
                (
                    ordered("EXPLAIN QUERY PLAN SELECT *", &listing),
                    "USING INDEX",
                ),
                (
                    filtered("EXPLAIN QUERY PLAN SELECT count(*)", &listing),
                    "USING COVERING INDEX",
                ),
            ] {
                let steps = query.build().fetch_all(&store.reader).await.unwrap();
                let steps: Vec<String> = steps.iter().map(|row| row.get("detail")).collect();
                assert_eq!(steps.len(), 1, "nothing is sorted: {steps:?}");
                // To count all of them, every index of those that are present is as good.
                let expected = if access.contains("COVERING") && listing == any {
                    format!("{access} users_present")
                } else {
                    format!("{access} {index}")
                };
                assert!(steps[0].contains(&expected), "{expected}: {steps:?}");
            }
        }
    }
}
