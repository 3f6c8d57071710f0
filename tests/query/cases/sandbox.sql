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
-- case: show
-- error: SandboxError 1:1 'SHOW' slicedb info
SHOW TABLES
-- case: describe without a name
-- error: SandboxError 1:1 'DESCRIBE' slicedb info
DESCRIBE
-- case: describe a list
-- error: SandboxError 1:1 'DESCRIBE' A list of tables is not allowed
DESCRIBE ALL TABLES
-- case: a list of tables inside
-- error: SandboxError 1:7 'SHOW' A list of tables is not allowed
FROM (SHOW TABLES)
-- case: a table function that reads by name
-- error: SandboxError 1:6 'histogram(samples, lux)' SELECT histogram(lux)
FROM histogram(samples, lux)
-- case: a separator that is made
-- error: SandboxError The separator of string_agg may be too long
SELECT string_agg(id, repeat('-', 9)) FROM samples
-- case: a sample that may be too large
-- error: SandboxError The sample of reservoir_quantile may be too large
SELECT reservoir_quantile(width, 0.5, 2000000) FROM samples
-- case: a list of copies
-- error: QueryError A list or text of copies would make more than
SELECT [l FOR x IN l] FROM (SELECT range(9000) AS l)
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
-- case: a huge text out of a small one
-- error: QueryError
-- hint: repeat would take or make more than 1,000,000
SELECT repeat('x', 2000000000)
-- case: a huge text beside a column
-- error: QueryError
-- hint: repeat would take or make more than 1,000,000
SELECT repeat(label, 2000000000) FROM samples
-- case: a huge list
-- error: QueryError
-- hint: range would take or make more than 1,000,000
SELECT len(range(1000000000))
-- case: a huge list of times
-- error: QueryError
-- hint: generate_series would take or make
SELECT len(generate_series(TIMESTAMP '0001-01-01', TIMESTAMP '9999-01-01', INTERVAL 1 SECOND))
-- case: a wide pattern
-- error: SandboxError 1:8
-- hint: widths up to 999
SELECT format('{:2000000000d}', 1)
-- case: a pattern that cannot be read
-- error: SandboxError
SELECT printf(label, 1) FROM samples
-- case: a list inside a lambda
-- error: SandboxError
-- hint: cannot stand inside a lambda
list_transform(tags, lambda t: range(1000000)) IS NULL
-- case: the guarded functions go on as they were
-- rows: [["ababab", [1, 1], "..x", "y--", [0, 1, 2], [10, 7, 4, 1], [], [1, 2, 3], [1, null], "2.50 of red"]]
SELECT 'ab'.repeat(3), repeat([1], 2), lpad('x', 3, '.'), rpad('y', 3, '-'), range(3), range(10, 0, -3), range(5, 2), generate_series(1, 3), list_resize([1], 2), format('{:.2f} of {}', 2.5, 'red')
-- case: days as a list
-- rows: [[3]]
SELECT len(range(DATE '2024-01-01', DATE '2024-01-04', INTERVAL 1 DAY))
-- case: a function by its schema
-- error: SandboxError
-- hint: without a schema
SELECT main.lower('X')
-- case: a guarded function by its schema
-- error: SandboxError
SELECT system.main.repeat('x', 2000000000)
-- case: another plan
-- error: SandboxError
SELECT json_serialize_plan('SELECT * FROM hot.samples')
-- case: the state of the random numbers
-- error: SandboxError
SELECT setseed(0.5)
-- case: raw bytes for a state
-- error: SandboxError
SELECT finalize('x'::BLOB)
-- case: the catalogue of the server
-- error: SandboxError
SELECT pg_get_viewdef(1)
-- case: privileges
-- error: SandboxError
SELECT has_table_privilege('samples', 'x')
-- case: secrets
-- error: SandboxError
SELECT * FROM duckdb_secrets()
-- case: a serialized query
-- error: SandboxError
SELECT * FROM json_execute_serialized_sql(json_serialize_sql('SELECT 1'))
-- case: the environment in a window
-- error: SandboxError
SELECT sum(lux) OVER (ORDER BY getenv('HOME')) FROM samples
-- case: the environment in a filter of an aggregate
-- error: SandboxError
SELECT count(*) FILTER (getenv('HOME') <> '') FROM samples
-- case: the environment in a limit
-- error: SandboxError
SELECT id FROM samples LIMIT (SELECT length(getenv('HOME')))
-- case: the environment as a method
-- error: SandboxError
SELECT 'HOME'.getenv()
-- case: the environment in an argument of a table function
-- error: SandboxError
SELECT * FROM range(length(getenv('HOME')))
-- case: the environment in the place of a column
-- error: SandboxError
SELECT * REPLACE (getenv('HOME') AS id) FROM samples
-- case: a file in a join
-- error: SandboxError
SELECT * FROM samples POSITIONAL JOIN 'x.csv'
-- case: a file in a CTE
-- error: SandboxError
WITH t AS (FROM 'x.parquet') FROM samples
-- case: writing inside a CTE
-- error: BindError
WITH t AS (INSERT INTO samples VALUES (1) RETURNING *) FROM t
-- case: a writing statement after WITH
-- error: SandboxError 1:1
WITH t AS (SELECT 1) DELETE FROM samples
