//! Pages of accounts, each read from an index in its order.

use super::rows;
use crate::accounts::store::db::{Query, query};
use crate::accounts::store::{Listed, Listing, Prefix, Store, StoreError};

/// Sorts behind everything that can follow a prefix.
const LAST: char = char::MAX;

impl Store {
    pub async fn list(&self, listing: &Listing<'_>) -> Result<Listed, StoreError> {
        let count = match listing.prefix {
            Some(_) => filtered("SELECT count(*) AS total", listing),
            None => counted(listing),
        };
        let page = ordered("SELECT *", listing);
        self.health
            .watch(async {
                let total = count.fetch_one(&self.db).await?;
                let accounts = page.fetch_all(&self.db).await?;
                Ok(Listed {
                    accounts: accounts
                        .iter()
                        .map(rows::account)
                        .collect::<Result<_, _>>()?,
                    total: total.get("total")?,
                })
            })
            .await
    }
}

/// How many there are without a search: triggers keep count.
fn counted(listing: &Listing<'_>) -> Query {
    let mut counted = query(
        "SELECT CAST(COALESCE(sum(users), 0) AS BIGINT) AS total FROM user_counts WHERE is_deleted = ",
    );
    counted.push_bind(listing.is_deleted);
    if let Some(tier) = listing.tier {
        counted.push(" AND tier = ").push_bind(tier);
    }
    counted
}

fn filtered(what: &'static str, listing: &Listing<'_>) -> Query {
    let mut filtered = query(what);
    filtered.push(if listing.is_deleted {
        " FROM users WHERE deleted_at IS NOT NULL"
    } else {
        " FROM users WHERE deleted_at IS NULL"
    });
    if let Some(tier) = listing.tier {
        filtered.push(" AND tier = ").push_bind(tier);
    }
    if let Some(prefix) = listing.prefix {
        let (from, to, prefix) = match prefix {
            Prefix::Username(prefix) => (" AND username >= ", " AND username < ", prefix),
            Prefix::Email(prefix) => (" AND email_folded >= ", " AND email_folded < ", prefix),
        };
        filtered.push(from).push_bind(prefix);
        filtered.push(to).push_bind(format!("{prefix}{LAST}"));
    }
    filtered
}

fn ordered(what: &'static str, listing: &Listing<'_>) -> Query {
    let mut ordered = filtered(what, listing);
    let (after, order) = match listing.prefix {
        Some(Prefix::Email(_)) => (" AND email_folded > ", " ORDER BY email_folded LIMIT "),
        _ => (" AND username > ", " ORDER BY username LIMIT "),
    };
    if let Some(last) = listing.after {
        ordered.push(after).push_bind(last);
    }
    ordered.push(order);
    ordered.push_bind(listing.limit).push(" OFFSET ");
    ordered.push_bind(listing.offset);
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::store::tests::temporary;
    use crate::accounts::testing::config_for;
    use crate::config::checked;

    #[tokio::test]
    async fn every_page_comes_from_an_index_in_its_order() {
        let (store, _folder) = temporary().await;
        let any = Listing {
            prefix: None,
            tier: None,
            is_deleted: false,
            after: None,
            offset: 0,
            limit: 10,
        };
        let username = Some(Prefix::Username("an"));
        let email = Some(Prefix::Email("an"));
        let tier = Some("pro");
        let after = Some("and");
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
            // However far, the next page begins where it begins.
            (Listing { after, ..any }, "users_present (username>?)"),
            (
                Listing { after, tier, ..any },
                "users_present_by_tier (tier=? AND username>?)",
            ),
            (
                Listing {
                    after,
                    prefix: email,
                    ..any
                },
                "users_present_by_email (email_folded>? AND email_folded<?)",
            ),
        ] {
            let page = ordered("EXPLAIN QUERY PLAN SELECT *", &listing);
            let count = filtered("EXPLAIN QUERY PLAN SELECT count(*)", &listing);
            // How many there are does not depend on where a page begins.
            let count = listing
                .after
                .is_none()
                .then_some((count, "USING COVERING INDEX"));
            for (explained, access) in [(page, "USING INDEX")].into_iter().chain(count) {
                let steps = explained.fetch_all(&store.db).await.unwrap();
                let steps = steps.iter().map(|row| row.get("detail").unwrap());
                let steps: Vec<String> = steps.collect();
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

    /// The planner of an empty table would rather read and sort all of it, so that is held against it: what
    /// is left shows whether an index has the beginning and the order.
    #[tokio::test]
    async fn every_page_comes_from_an_index_in_its_order_on_postgres() {
        let folder = tempfile::tempdir().unwrap();
        let config = config_for("on_postgres", folder.path());
        if !matches!(config.store, checked::Store::Postgres(_)) {
            return;
        }
        let store = Store::open(&config.store).await.unwrap();
        let mut tx = store.db.begin().await.unwrap();
        for costly in [
            "SET LOCAL enable_seqscan = off",
            "SET LOCAL enable_bitmapscan = off",
            "SET LOCAL enable_sort = off",
        ] {
            query(costly).execute(&mut tx).await.unwrap();
        }
        let any = Listing {
            prefix: None,
            tier: None,
            is_deleted: false,
            after: Some("and"),
            offset: 0,
            limit: 10,
        };
        let email = Some(Prefix::Email("an"));
        let tier = Some("pro");
        for (listing, index, begins) in [
            (any, "users_present", "username > "),
            (
                Listing { tier, ..any },
                "users_present_by_tier",
                "username > ",
            ),
            (
                Listing {
                    prefix: email,
                    ..any
                },
                "users_present_by_email",
                "email_folded > ",
            ),
            (
                Listing {
                    is_deleted: true,
                    ..any
                },
                "users_deleted",
                "username > ",
            ),
        ] {
            let steps = ordered("EXPLAIN SELECT *", &listing).fetch_all(&mut tx);
            let steps: Vec<String> = steps.await.unwrap().iter().map(|row| row.text(0)).collect();
            let plan = steps.join("\n");
            assert!(
                plan.contains(&format!("Index Scan using {index} ")),
                "{plan}"
            );
            assert!(!plan.contains("Sort"), "{plan}");
            let is_begun = |step: &String| step.contains("Index Cond") && step.contains(begins);
            assert!(steps.iter().any(is_begun), "{plan}");
        }
    }
}
