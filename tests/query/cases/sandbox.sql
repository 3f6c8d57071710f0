-- case: two statements
-- error: SandboxError 1:14 ';'
label = 'red'; DROP TABLE samples
-- case: two selects
-- error: SandboxError 1:9 ';'
SELECT 1; SELECT 2
-- case: insert
-- error: SandboxError 1:1 'INSERT'
INSERT INTO samples VALUES (1)
-- case: update
-- error: SandboxError 1:1 'UPDATE'
UPDATE samples SET label = 'x'
-- case: delete
-- error: SandboxError 1:1 'DELETE'
DELETE FROM samples
-- case: drop
-- error: SandboxError 1:1 'DROP'
DROP TABLE samples
-- case: create
-- error: SandboxError 1:1 'CREATE'
CREATE TABLE t AS SELECT 1
-- case: copy
-- error: SandboxError 1:1 'COPY'
COPY samples TO 'out.csv'
-- case: attach
-- error: SandboxError 1:1 'ATTACH'
ATTACH 'x.db' AS x
-- case: install
-- error: SandboxError 1:1 'INSTALL'
INSTALL httpfs
-- case: load
-- error: SandboxError 1:1 'LOAD'
LOAD httpfs
-- case: pragma
-- error: SandboxError 1:1 'PRAGMA'
PRAGMA database_list
-- case: set
-- error: SandboxError 1:1 'SET'
SET threads = 1
-- case: a comment before the statement
-- error: SandboxError 1:9 'SET'
/* x */ SET threads = 1
-- case: explain
-- error: SandboxError 1:1 'EXPLAIN'
EXPLAIN SELECT 1
-- case: describe
-- error: SandboxError 1:1 'DESCRIBE'
DESCRIBE samples
-- case: describe in a FROM
-- error: SandboxError
SELECT * FROM (DESCRIBE samples)
-- case: a parquet file
-- error: SandboxError 1:15 ''x.parquet''
SELECT * FROM 'x.parquet'
-- case: a file by its path
-- error: SandboxError 1:15 ''/etc/passwd''
SELECT * FROM '/etc/passwd'
-- case: a file over the network
-- error: SandboxError
SELECT * FROM 'https://example.com/x.csv'
-- case: read_csv
-- error: SandboxError 1:15
SELECT * FROM read_csv('x.csv')
-- case: read_text
-- error: SandboxError
SELECT content FROM read_text('/etc/passwd')
-- case: read_parquet in a subquery
-- error: SandboxError
id IN (SELECT id FROM read_parquet('x.parquet'))
-- case: glob
-- error: SandboxError
SELECT * FROM glob('*')
-- case: a query in a text
-- error: SandboxError
SELECT * FROM query('SELECT 1')
-- case: a table in a text
-- error: SandboxError
SELECT * FROM query_table('samples')
-- case: settings
-- error: SandboxError
SELECT * FROM duckdb_settings()
-- case: tables of DuckDB
-- error: BindError
SELECT * FROM information_schema.tables
-- case: main schema
-- error: BindError
SELECT * FROM main.samples
-- case: the loaded tables themselves
-- error: BindError
SELECT * FROM hot.samples
-- case: the environment
-- error: SandboxError 1:1 'getenv('HOME')'
getenv('HOME') = ''
-- case: a setting
-- error: SandboxError
current_setting('threads') = '1'
-- case: sleeping
-- error: SandboxError
sleep_ms(1000) IS NULL
-- case: writing the log
-- error: SandboxError
write_log('x') IS NULL
-- case: a variable of Python
-- error: BindError
SELECT * FROM engine
