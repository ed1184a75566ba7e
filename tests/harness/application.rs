//! Another application's database of users, in SQLite or in PostgreSQL, and what that application does
//! with it.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor};

/// Finds a member by name or e-mail.
pub const QUERY: &str = "SELECT id, username, email, password_hash, full_name AS name, plan AS tier, roles, \
    is_admin AS is_superuser, disabled_at FROM members WHERE username = $1 OR email = $1";

/// Its members, in the SQL of both.
const TABLE: &str = "CREATE TABLE members (id INTEGER PRIMARY KEY, username TEXT, email TEXT, \
    password_hash TEXT, full_name TEXT, plan TEXT, roles TEXT, is_admin BOOLEAN NOT NULL DEFAULT FALSE, \
    disabled_at TIMESTAMP)";

pub enum Application {
    Sqlite(PathBuf),
    Postgres(String),
}

impl Application {
    /// With a table `members`, which is empty.
    pub fn sqlite(folder: &Path) -> Application {
        let application = Application::Sqlite(folder.join("application.db"));
        application.run(TABLE);
        application
    }

    /// The same in the database of that URL.
    pub fn postgres(url: String) -> Application {
        let application = Application::Postgres(url);
        application.run(TABLE);
        application
    }

    /// As gateway.yaml has it.
    #[allow(dead_code, reason = "each user takes its part")]
    pub fn store(&self) -> String {
        match self {
            Application::Sqlite(path) => format!("sqlite:{}", path.display()),
            Application::Postgres(url) => url.clone(),
        }
    }

    /// A member with the e-mail address `NAME@example.com`.
    pub fn member(&self, id: u32, username: &str, hash: &str) {
        self.run(&format!(
            "INSERT INTO members (id, username, email, password_hash, full_name, plan, roles) VALUES \
             ({id}, '{username}', '{username}@example.com', '{hash}', 'The {username}', 'pro', 'editor')"
        ));
    }

    /// Changes a member, as in `plan = 'free'`.
    pub fn set(&self, id: u32, values: &str) {
        self.run(&format!("UPDATE members SET {values} WHERE id = {id}"));
    }

    /// Runs statements to their end, on a thread of its own: tests that run on a runtime may call it.
    pub fn run(&self, sql: &str) {
        let sql = AssertSqlSafe(sql.to_owned());
        let work = async {
            match self {
                Application::Sqlite(path) => {
                    let options = SqliteConnectOptions::new().filename(path);
                    let mut connection = options.create_if_missing(true).connect().await.unwrap();
                    connection.execute(sqlx::raw_sql(sql)).await.unwrap();
                    connection.close().await.unwrap();
                }
                Application::Postgres(url) => {
                    let options = PgConnectOptions::from_str(url).unwrap();
                    let mut connection = options.connect().await.unwrap();
                    connection.execute(sqlx::raw_sql(sql)).await.unwrap();
                    connection.close().await.unwrap();
                }
            }
        };
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                let mut builder = tokio::runtime::Builder::new_current_thread();
                builder.enable_all().build().unwrap().block_on(work);
            });
            thread.join().unwrap();
        });
    }
}
