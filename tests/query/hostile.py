"""Hostile texts: each asks for far more time, memory or result than any query may take.

`tests/query/test_hostile.py` asks some of them with small bounds, `benchmarks/hostile.py` all.
"""

# ruff: noqa: E501

from __future__ import annotations

HOSTILE: dict[str, list[str]] = {}
"""Kind to texts."""


def add(kind: str, *texts: str) -> None:
    """Note the texts of a kind."""
    HOSTILE[kind] = [*texts]


add(
    "doubling reduce",
    "SELECT len(list_reduce(range(40), lambda a, b: a || a, 'xy'))",
    "SELECT len(list_reduce([x::VARCHAR FOR x IN range(60)], lambda a, b: a || a || b)) AS n",
    "SELECT len(list_reduce([[1]::BIGINT[] FOR x IN range(40)], lambda a, b: list_concat(a, a))) AS n",
    "SELECT len(list_reduce([[1] FOR x IN range(40)], lambda a, b: a || a || a)) AS n",
    "SELECT len(reduce([x::VARCHAR FOR x IN range(64)], lambda a, b: concat(a, a, a))) AS n",
    "SELECT id FROM samples WHERE len(list_reduce([id FOR x IN range(40)], lambda a, b: a || a)) > 3",
    "SELECT len(array_reduce([x::VARCHAR FOR x IN range(50)], (a, b) -> a || a)) AS n",
    "SELECT len(list_reduce([to_json(x) FOR x IN range(50)], lambda a, b: json_array(a, a))::VARCHAR) AS n",
    "SELECT list_reduce([{'a': 1}::JSON FOR x IN range(45)], lambda a, b: json_object('l', a, 'r', a))",
)
add(
    "replace",
    "SELECT len(replace(replace(replace(repeat('x', 1000), 'x', repeat('x', 1000)), 'x', repeat('x', 1000)), 'x', repeat('x', 100))) AS n",
    "SELECT len(replace(repeat('x', 1000000), 'x', repeat('y', 1000000))) AS n",
    "SELECT id FROM samples WHERE len(replace(repeat(id, 1000), 'a', repeat('y', 100000))) > 3",
    "SELECT len(regexp_replace(repeat('x', 100000), 'x', repeat('y', 100000), 'g')) AS n",
    "SELECT len(regexp_replace(repeat('x', 500000), '(.*)', '\\1\\1\\1\\1\\1\\1\\1\\1\\1', 'g')) AS n",
    "WITH a AS (SELECT replace(repeat('x', 1000), 'x', repeat('x', 1000)) s), b AS (SELECT replace(s, 'x', repeat('x', 1000)) s FROM a), c AS (SELECT replace(s, 'x', repeat('x', 1000)) s FROM b) SELECT len(s) FROM c",
    "SELECT len(translate(repeat('x', 1000000), 'x', 'y')) FROM range(100000)",
    "SELECT sum(len(replace(repeat('x', 1000 + i), 'x', repeat('y', 900)))) FROM range(100000) t(i)",
)
add(
    "repeat tables",
    "SELECT count(*) FROM repeat(1, 100000000000)",
    "FROM repeat('x', 10000000000)",
    "SELECT sum(a) FROM repeat_row(1, 2, num_rows=100000000000) t(a, b)",
    "FROM repeat(repeat('x', 100000), 1000000)",
    "SELECT list(r) FROM repeat(repeat('x', 100000), 1000000) t(r)",
    "SELECT string_agg(r, '') FROM repeat(repeat('x', 1000), 100000000) t(r)",
)
add(
    "ranges",
    "SELECT count(*) FROM range(10000000000000)",
    "SELECT sum(i * i % 7) FROM range(10000000000000) t(i)",
    "SELECT list(i) FROM range(10000000000) t(i)",
    "SELECT count(*) FROM generate_series(TIMESTAMP '0001-01-01', TIMESTAMP '9999-01-01', INTERVAL 1 SECOND)",
    "FROM range(10000000000)",
    "SELECT range(1000000 - i) FROM range(5000) t(i)",
    "SELECT sum(len(range(900000 + i))) FROM range(100000) t(i)",
    "SELECT sum(len(generate_series(1, 900000 + i))) FROM range(100000) t(i)",
    "SELECT len([x FOR x IN range(1000000)]), len(flatten([range(1000000) FOR y IN [1,2]]))",
    "SELECT len(flatten([[x FOR x IN l] FOR y IN l])) FROM (SELECT list(i) l FROM range(20000) t(i))",
    "SELECT len([[z FOR z IN l] FOR y IN l]) FROM (SELECT list(i) l FROM range(20000) t(i))",
    "SELECT len([[[x FOR x IN l] FOR y IN l] FOR z IN l]) FROM (SELECT list(i) l FROM range(1000) t(i))",
    "SELECT i, unnest(range(1000000)) FROM range(100000) t(i)",
    "SELECT max(u) FROM (SELECT unnest(range(1000000)) u FROM range(100000))",
    "SELECT max(v) FROM (SELECT unnest(l) v FROM (SELECT unnest([l, l, l, l]) l FROM (SELECT list(i) l FROM range(1000000) t(i)), range(1000)))",
)
add(
    "cross joins",
    "SELECT count(*) FROM range(1000000) a(i), range(1000000) b(j) WHERE i * j % 7 = 3",
    "SELECT sum(a.i * b.i + c.i) FROM range(100000) a(i), range(100000) b(i), range(100000) c(i)",
    "FROM range(1000000) a(i), range(1000000) b(j)",
    "SELECT a.id, b.id FROM samples a, samples b, samples c, samples d, samples e, samples f, samples g, samples h",
    "SELECT count(DISTINCT (a.id, b.id, c.id, d.id)) FROM samples a, samples b, samples c, samples d, samples e, samples f, samples g, samples h, samples i",
    "SELECT list(a.id || b.id || c.id || d.id || e.id || f.id || g.id || h.id) FROM samples a, samples b, samples c, samples d, samples e, samples f, samples g, samples h",
    "SELECT a.i FROM range(1000000) a(i), range(1000000) b(j) ORDER BY j * 7 % 13, i",
    "SELECT DISTINCT i * 1000000 + j FROM range(1000000) a(i), range(1000000) b(j)",
    "SELECT i + j AS s, count(*) FROM range(100000) a(i), range(1000000) b(j) GROUP BY ALL",
    "SELECT i, j, count(*) FROM range(100000) a(i), range(1000000) b(j) GROUP BY ALL",
    "SELECT count(*) FROM unnest(range(100000)) a(i), unnest(range(100000)) b(j), unnest(range(100000)) c(k) WHERE i + j = k * 7 + 3",
    "SELECT u, v FROM (SELECT unnest(range(100000)) u), (SELECT unnest(range(100000)) v)",
    "SELECT unnest(range(1000000)) FROM samples a, samples b, samples c, samples d, samples e, samples f",
    "SELECT a.i FROM range(3000000) a(i) JOIN range(3000000) b(j) ON i < j ORDER BY a.i DESC",
    "SELECT count(*) FROM range(300000) a(i) LEFT JOIN range(300000) b(j) ON i % 3 = j % 3",
    "SELECT count(*) FROM range(1000000) a(i) JOIN range(1000000) b(j) ON sin(i) < cos(j) AND i <> j",
    "SELECT a.i FROM range(100000) a(i) POSITIONAL JOIN range(100000000000) b(j)",
)
add(
    "edit distances",
    "SELECT sum(jaro_winkler_similarity(repeat('ab', 20000 + i), repeat('ba', 20000 + i))) FROM range(100000) t(i)",
    "SELECT sum(jaro_similarity(repeat('ab', 20000 + i), repeat('ba', 20000 + i))) FROM range(100000) t(i)",
    "SELECT jaro_winkler_similarity(repeat('ab', 400000), repeat('ba', 400000))",
    "SELECT jaro_similarity(repeat('a', 900000), repeat('b', 900000))",
    "SELECT sum(levenshtein(repeat('ab', 2000 + i % 10), repeat('ba', 2000 + i % 7))) FROM range(100000) t(i)",
    "SELECT sum(damerau_levenshtein(repeat('ab', 2000 + i % 10), repeat('ba', 2000 + i % 7))) FROM range(100000) t(i)",
    "SELECT sum(editdist3(repeat('ab', 3000), repeat('ba', 2000 + i % 7))) FROM range(100000) t(i)",
    "SELECT sum(mismatches(repeat('ab', 400000), repeat('ba', 400000 ))) FROM range(100000) t(i)",
    "SELECT sum(hamming(repeat('ab', 400000), repeat('ba', 400000 ))) FROM range(100000) t(i)",
    "SELECT sum(jaccard(repeat('ab', 400000 + i), repeat('ba', 400000 + i))) FROM range(100000) t(i)",
)
add(
    "recursive",
    "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT count(*) FROM t",
    "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + x FROM t, range(2) r(x)) SELECT count(*) FROM t",
    "WITH RECURSIVE t(n) AS (SELECT 1::HUGEINT UNION ALL SELECT n * 2 + x FROM t, range(2) r(x) WHERE n < 1000000000000000) SELECT count(*) FROM t",
    "WITH RECURSIVE t(s) AS (SELECT 'x' UNION ALL SELECT s || s FROM t) SELECT max(len(s)) FROM t",
    "WITH RECURSIVE t(s, n) AS (SELECT 'x', 0 UNION ALL SELECT s || s, n + 1 FROM t WHERE n < 40) SELECT max(len(s)) FROM t",
    "WITH RECURSIVE t(l, n) AS (SELECT [1], 0 UNION ALL SELECT l || l, n + 1 FROM t WHERE n < 40) SELECT max(len(l)) FROM t",
    "WITH RECURSIVE t(l, n) AS (SELECT {'a': 1}::JSON, 0 UNION ALL SELECT json_array(l, l), n + 1 FROM t WHERE n < 40) SELECT max(len(l::VARCHAR)) FROM t",
    "WITH RECURSIVE t(n) AS (SELECT 1 UNION SELECT n + 1 FROM t) SELECT n FROM t",
    "WITH RECURSIVE t AS (SELECT id FROM samples UNION ALL SELECT id FROM t) SELECT count(*) FROM t",
    "WITH RECURSIVE t AS (SELECT id FROM samples UNION ALL SELECT t.id FROM t, samples) SELECT * FROM t",
    "WITH RECURSIVE t(n) USING KEY (n) AS (SELECT 1 UNION SELECT n + 1 FROM t) SELECT count(*) FROM t",
    "WITH RECURSIVE t(s, n) AS (SELECT repeat('x', 100000), 0 UNION ALL SELECT s || 'y', n + 1 FROM t) SELECT count(*) FROM t",
)
add(
    "aggregates",
    "SELECT len(string_agg(repeat('x', 1000) || i, '')) FROM range(10000000) t(i)",
    "SELECT len(list(repeat('x', 1000) || i)) FROM range(10000000) t(i)",
    "SELECT list(i::VARCHAR || repeat('x', 200)) AS l FROM range(3000000) t(i)",
    "SELECT histogram(i) FROM range(100000000) t(i)",
    "SELECT quantile_cont(i, [x / 1000000.0 FOR x IN range(1000000)]) FROM range(10000000) t(i)",
    "SELECT quantile_disc(i, [0.1, 0.5]) FROM range(1000000000) t(i)",
    "SELECT mode(i) FROM range(1000000000) t(i)",
    "SELECT median(i) FROM range(1000000000) t(i)",
    "SELECT count(DISTINCT i) FROM range(1000000000) t(i)",
    "SELECT approx_top_k(i, 1000000) FROM range(10000000) t(i)",
    "SELECT list(l) FROM (SELECT list(i) l FROM range(1000000) t(i)), range(1000)",
    "SELECT arg_max(repeat('x', 1000000), i, 1000) FROM range(100000) t(i)",
    "SELECT max(i, 1000000) FROM range(1000000000) t(i)",
    "SELECT json_group_array(repeat('x', 1000) || i) FROM range(10000000) t(i)",
    "SELECT json_group_object(i, repeat('x', 1000)) FROM range(10000000) t(i)",
    "SELECT list(i ORDER BY hash(i)) FROM range(1000000000) t(i)",
    "SELECT string_agg(DISTINCT i::VARCHAR, ',' ORDER BY i) FROM range(100000000) t(i)",
    "SELECT i % 10000000 AS g, list(i) FROM range(1000000000) t(i) GROUP BY g",
    "SELECT bitstring_agg(i, 0, 100000000000) FROM range(10) t(i)",
    "SELECT bitstring_agg(i * 1000000) FROM range(10000) t(i)",
    "SELECT entropy(i), kurtosis(i) FROM range(1000000000) t(i)",
    "SELECT group_concat(repeat('x', 999999)) FROM range(100000) t(i)",
    "SELECT product(i), mad(i) FROM range(300000000) t(i)",
    "SELECT map_from_entries(list((i, repeat('x', 1000)))) FROM range(10000000) t(i)",
    "SELECT reservoir_quantile(i, 0.5, 1000000000) FROM range(100000000) t(i)",
    "SELECT * FROM range(1000000000) t(i) GROUP BY CUBE (i, i+1, i+2, i+3, i+4, i+5)",
)
add(
    "windows",
    "SELECT i, list(i) OVER (ORDER BY i) FROM range(1000000) t(i)",
    "SELECT string_agg(i::VARCHAR, '') OVER (ORDER BY i) FROM range(300000) t(i)",
    "SELECT max(len(s)) FROM (SELECT string_agg(repeat('x', 1000), '') OVER (ORDER BY i) s FROM range(100000) t(i))",
    "SELECT sum(len(l)) FROM (SELECT list(i) OVER (ORDER BY i ROWS UNBOUNDED PRECEDING) l FROM range(1000000) t(i))",
    "SELECT quantile_cont(i, 0.5) OVER (ORDER BY hash(i) ROWS BETWEEN 1000000 PRECEDING AND 1000000 FOLLOWING) FROM range(10000000) t(i)",
    "SELECT mode(i) OVER (ROWS BETWEEN 100000 PRECEDING AND CURRENT ROW) FROM range(10000000) t(i)",
    "SELECT count(DISTINCT i) OVER (ORDER BY i ROWS BETWEEN 100000 PRECEDING AND 100000 FOLLOWING) FROM range(10000000) t(i)",
    "SELECT sum(i) OVER (PARTITION BY i % 1000 ORDER BY sin(i)) FROM range(1000000000) t(i)",
    "SELECT row_number() OVER (ORDER BY hash(i)) FROM range(1000000000) t(i)",
    "SELECT nth_value(i, 5) OVER (ORDER BY i RANGE BETWEEN 100000 PRECEDING AND 100000 FOLLOWING EXCLUDE GROUP) FROM range(10000000) t(i)",
    "SELECT median(i) OVER (ORDER BY i RANGE BETWEEN 1000000 PRECEDING AND 1000000 FOLLOWING EXCLUDE TIES) FROM range(3000000) t(i)",
)
add(
    "pads and formats",
    "SELECT lpad('x', 2000000000, 'y')",
    "SELECT sum(len(lpad('x', 900000 + i, 'y'))) FROM range(100000) t(i)",
    "SELECT rpad('x', 900000 + i::INT, 'y') FROM range(100000) t(i)",
    "SELECT repeat('x', 900000 + i) FROM range(100000) t(i)",
    "SELECT sum(len(repeat('x', 900000 + i))) FROM range(100000) t(i)",
    "SELECT printf('%2000000000d', 1)",
    "SELECT format('{:2000000000d}', 1)",
    "SELECT printf('%*d', 2000000000, 1)",
    "SELECT format('{:{}d}', 1, 2000000000)",
    "SELECT printf('%999d%999d%999d%999d', i, i, i, i) FROM range(100000000) t(i)",
    "SELECT bar(i, 0, 10, 1000000000) FROM range(10) t(i)",
    "SELECT sum(len(bar(i, 0, 10, 1000000.0))) FROM range(100000) t(i)",
    "SELECT concat_ws(repeat('x', 1000000), 1, 2, 3, 4, 5, 6, 7, 8, 9)",
    "SELECT array_to_string(range(1000000), repeat('x', 100000))",
    "SELECT array_to_string([i::VARCHAR FOR i IN range(100000)], repeat('x', 100000))",
    "SELECT list_aggregate([i::VARCHAR FOR i IN range(100000)], 'string_agg', repeat('x', 100000))",
    "SELECT len(list_string_agg([repeat('x', 999999) FOR i IN range(1)]))",
    "SELECT len(concat(" + ", ".join(["repeat('x', 1000000)"] * 500) + "))",
    "SELECT len(" + " || ".join(["repeat('x', 1000000)"] * 3000) + ")",
    "SELECT upper(repeat('ß', 999999)) FROM range(100000)",
    "SELECT strftime(TIMESTAMP '2026-01-01', repeat('%A', 400000)) FROM range(10000)",
    "SELECT hex(repeat('x', 900000 + i)), to_base64(repeat('x', 900000 + i)::BLOB) FROM range(10000) t(i)",
    "SELECT url_encode(repeat('%', 900000 + i)) FROM range(10000) t(i)",
    "SELECT len(to_json([repeat('\\', 100000) FOR i IN range(10)])::VARCHAR)",
    "SELECT string_split(repeat('a,', 400000 + i), ',') FROM range(10000) t(i)",
    "SELECT regexp_extract_all(repeat('a', 900000 + i), '.') FROM range(10000) t(i)",
    "SELECT regexp_split_to_array(repeat('a,', 400000 + i), ',') FROM range(10000) t(i)",
)
add(
    "regular expressions",
    "SELECT regexp_matches(repeat('a', 1000000), '(a*)*b') FROM range(10000)",
    "SELECT regexp_matches(repeat('a', 900000 + i), '"
    + "(a?){1000}"
    + "b') FROM range(10000) t(i)",
    "SELECT regexp_matches('a', '((((((((a{10}){10}){10}){10}){10}){10}){10}){10})')",
    "SELECT 'a' LIKE repeat('%a', 100000) FROM range(100000)",
    "SELECT repeat('a', 500000) LIKE repeat('%a', 1000) || 'b' FROM range(100000) t(i)",
    "SELECT repeat('a', 500000 + i) GLOB repeat('*a', 1000) || 'b' FROM range(10000) t(i)",
    "SELECT sum(regexp_matches(repeat('ab', 100000 + i), '.*.*.*.*.*x')::INT) FROM range(100000) t(i)",
)
add(
    "lists",
    "SELECT len(list_resize([1], 2000000000))",
    "SELECT sum(len(list_resize([1], 900000 + i))) FROM range(100000) t(i)",
    "SELECT list_zip(range(1000000), range(1000000), range(1000000)) FROM range(1000)",
    "SELECT len(list_sort(range(1000000))) FROM range(1000)",
    "SELECT list_distinct(range(900000 + i)) FROM range(10000) t(i)",
    "SELECT list_transform(range(1000000), lambda x: repeat('y', 100))",
    "SELECT list_transform(range(1000000), lambda x: lpad('y', 999, 'z'))",
    "SELECT list_transform(range(100000), lambda x: l) FROM (SELECT range(100000) l)",
    "SELECT list_transform(range(1000000), lambda x: s) FROM (SELECT repeat('x', 1000000) s)",
    "SELECT sum(len(list_transform(range(100000), lambda x: s || x))) FROM (SELECT repeat('x', 100000) s)",
    "SELECT list_concat(" + ", ".join(["range(1000000)"] * 200) + ")",
    "SELECT list_filter(range(1000000), lambda x: list_contains(range(1000), x))",
    "SELECT len(list_filter(l, lambda x: list_contains(l, x + 1))) FROM (SELECT list(i) l FROM range(300000) t(i))",
    "SELECT list_intersect(l, m) FROM (SELECT list(i) l, list(i) m FROM range(3000000) t(i)), range(1000)",
    "SELECT array_cross_product([1,2,3]::DOUBLE[3], [1,2,i]::DOUBLE[3]) FROM range(1000000000) t(i)",
    "SELECT flatten(list_transform(range(1000), lambda x: l)) FROM (SELECT range(1000000) l)",
    "SELECT flatten([l FOR x IN m]) FROM (SELECT list(i) l FROM range(1000000) t(i)), (SELECT list(i) m FROM range(1000) t(i))",
    "SELECT len(list_grade_up(range(900000 + i))) FROM range(10000) t(i)",
    "SELECT generate_subscripts(range(1000000), 1) FROM range(1000)",
    "SELECT list_select(range(1000000), range(1000000)) FROM range(1000)",
    "SELECT map(range(1000000), range(1000000)) FROM range(1000)",
    "SELECT map_from_entries(list_zip(range(1000000), range(1000000)))",
    "SELECT map(range(300000 + i), range(300000 + i)) FROM range(100) t(i)",
    "SELECT cardinality(histogram_values) FROM (SELECT map(range(100000 + i), range(100000 + i)) AS histogram_values FROM range(1000) t(i))",
    "SELECT array_value(" + ", ".join(["range(100000)"] * 200) + ")",
    "SELECT bit_count(bitstring('1', 2000000000))",
    "SELECT sum(bit_count(bitstring('1', 900000 + i::INT))) FROM range(100000) t(i)",
    "SELECT ('1'::BIT << 5)::VARCHAR, '1'::BIT || bitstring('1', 999999)",
)
add(
    "json",
    "SELECT to_json(list(i)) FROM range(100000000) t(i)",
    "SELECT json_structure(to_json(range(1000000))) FROM range(1000)",
    "SELECT from_json(to_json(range(1000000)), '[\"BIGINT\"]') FROM range(1000)",
    "SELECT count(*) FROM json_each(to_json(range(1000000))), json_each(to_json(range(1000000)))",
    "SELECT count(*) FROM json_tree(to_json([range(1000) FOR x IN range(1000)])), range(100000)",
    "SELECT json_merge_patch(to_json(range(1000000)), to_json(range(1000000))) FROM range(1000)",
    "SELECT len(json_pretty(to_json(range(1000000)))) FROM range(1000) t(i)",
    "SELECT (repeat('[', 1000000) || repeat(']', 1000000))::JSON",
    "SELECT json_valid(repeat('[', 100000) || repeat(']', 100000))",
    "SELECT json_structure(repeat('[', 100000) || repeat(']', 100000))",
    "SELECT json_extract(repeat('{\"a\":', 50000) || '1' || repeat('}', 50000), '$' || repeat('.a', 50000))",
    "SELECT json_transform(repeat('[', 5000) || repeat(']', 5000), '\"JSON\"')",
    "SELECT json_serialize_sql('SELECT ' || repeat('(', 5000) || '1' || repeat(')', 5000))",
    "SELECT json_serialize_sql('SELECT ' || repeat('1+', 100000) || '1') FROM range(1000)",
)
add(
    "long texts",
    "SELECT 1 WHERE " + " OR ".join(f"{i} = 3" for i in range(20000)),
    " OR ".join(f"id = 'x{i}'" for i in range(20000)),
    " AND ".join(f"id <> 'x{i}'" for i in range(20000)),
    "id IN (" + ", ".join(f"'x{i}'" for i in range(200000)) + ")",
    "id NOT IN (" + ", ".join(f"'x{i}'" for i in range(200000)) + ")",
    "id = ANY([" + ", ".join(f"'x{i}'" for i in range(200000)) + "])",
    "SELECT " + " + ".join(["1"] * 50000),
    "SELECT " + " || ".join(["'x'"] * 50000),
    "SELECT " + ", ".join(f"{i} AS c{i}" for i in range(20000)),
    "SELECT " + ", ".join(["*"] * 2000) + " FROM samples",
    "SELECT * FROM " + ", ".join(f"samples s{i}" for i in range(300)),
    " UNION ALL ".join(["SELECT id FROM samples"] * 3000),
    " UNION ".join(["SELECT 1"] * 5000),
    "SELECT " + "(" * 290 + "1" + ")" * 290,
    "SELECT " + "-".join([""] * 2) + "- " * 20000 + "1",
    "SELECT " + "NOT " * 20000 + "true",
    "SELECT " + "abs(" * 290 + "1" + ")" * 290,
    "SELECT " + "CASE WHEN true THEN " * 5000 + "1" + " END" * 5000,
    "WITH "
    + ", ".join(
        f"c{i} AS (SELECT * FROM {'samples' if not i else f'c{i - 1}'})" for i in range(600)
    )
    + " SELECT count(*) FROM c599",
    "WITH c0 AS (SELECT 1 AS a), "
    + ", ".join(f"c{i} AS (SELECT x.a FROM c{i - 1} x, c{i - 1} y)" for i in range(1, 40))
    + " SELECT count(*) FROM c39",
    "WITH c0 AS (SELECT id FROM samples), "
    + ", ".join(
        f"c{i} AS (SELECT * FROM c{i - 1} UNION ALL SELECT * FROM c{i - 1})" for i in range(1, 40)
    )
    + " SELECT count(*) FROM c39",
    "SELECT count(*) FROM samples WHERE "
    + " AND ".join(
        f"EXISTS (SELECT 1 FROM samples o{i} WHERE o{i}.id = samples.id)" for i in range(300)
    ),
    "VALUES " + ", ".join(f"({i})" for i in range(200000)),
    "SELECT [" + ", ".join(map(str, range(200000))) + "]",
    "SELECT {" + ", ".join(f"'a{i}': {i}" for i in range(20000)) + "}",
    "SELECT '" + "x" * 5_000_000 + "'",
    "SELECT " + "[" * 290 + "]" * 290,
    "SELECT * FROM " + "(SELECT * FROM " * 280 + "samples" + ")" * 280,
    "SELECT id FROM samples ORDER BY " + ", ".join(f"(width + {i})" for i in range(5000)),
    "SELECT CASE "
    + " ".join(f"WHEN width = {i} THEN {i}" for i in range(20000))
    + " END FROM samples",
    "SELECT count(*) FROM samples GROUP BY CUBE ("
    + ", ".join(f"width + {i}" for i in range(16))
    + ")",
    "SELECT count(*) FROM samples GROUP BY CUBE ("
    + ", ".join(f"width + {i}" for i in range(30))
    + ")",
    "SELECT "
    + ", ".join(f"sum(width) OVER (ORDER BY id ROWS {i} PRECEDING)" for i in range(2000))
    + " FROM samples",
    "SELECT list_transform([1], lambda x0: "
    + "list_transform([1], lambda x: x + ".replace("x:", "x:") * 100
    + "1"
    + ")" * 100
    + ")",
    "PIVOT samples ON width IN (" + ", ".join(map(str, range(20000))) + ") USING count(*)",
    "SELECT COLUMNS('" + "(a|b)*" * 5000 + "') FROM samples",
    "label LIKE '" + "%a" * 100000 + "'",
    "regexp_matches(label, '" + "(a|b)*" * 20000 + "')",
    "SELECT " + "x." * 2000 + "y FROM samples",
    "-- " + "x" * 3_000_000 + "\nlabel = 'red'",
    "label = '" + "'" * 200000 + "'",
    "SELECT 1" + "\n" * 2_000_000,
    "SELECT " + "9" * 100000,
    "SELECT 1e" + "9" * 1000,
    "SELECT DECIMAL '" + "9" * 100000 + "'",
    "SELECT INTERVAL '" + "9" * 1000 + " years'",
)


def _nested(levels: int, made: str, inner: str) -> str:
    """Return a text whose every level makes something of the `f` that the level inside has made."""
    text = f"(SELECT {inner} AS f)"
    for _ in range(levels):
        text = f"(SELECT {made} AS f FROM {text})"
    return f"SELECT f FROM {text}"


add(
    "copies",
    _nested(4, "||".join(["f"] * 11), "repeat('x', 100000)"),
    _nested(4, f"concat({', '.join(['f'] * 10)})", "repeat('x', 100000)"),
    _nested(5, f"list_concat({', '.join(['f'] * 10)})", "range(100000)"),
    _nested(6, "{'a': f, 'b': f, 'c': f, 'd': f}", "range(100000)"),
    _nested(5, f"[{', '.join(['f'] * 10)}]", "repeat('x', 100000)"),
    _nested(5, f"list_zip({', '.join(['f'] * 10)})", "range(100000)"),
    _nested(6, "map([1, 2, 3, 4], [f, f, f, f])", "range(100000)"),
    _nested(6, f"concat_ws(f, {', '.join(['f'] * 10)})", "repeat('x', 10000)"),
    _nested(40, "f || f", "repeat('x', 1000)"),
    _nested(40, "[f, f]", "[1]"),
    _nested(40, "to_json([f, f])", "1"),
    "SELECT flatten([l FOR x IN m]) FROM (SELECT list(i) l, list(i) m FROM range(100000) t(i))",
    "SELECT len([{'a': l, 'b': l} FOR x IN l]) FROM (SELECT list(i) l FROM range(50000) t(i))",
    "SELECT list_sort([l FOR x IN l IF x > 3]) FROM (SELECT list(i) l FROM range(30000) t(i))",
    "SELECT to_json([l FOR x IN l]) FROM (SELECT list(i) l FROM range(30000) t(i))",
    "SELECT map_from_entries([(x, l) FOR x IN l]) FROM (SELECT list(i) l FROM range(30000) t(i))",
    "SELECT apply([l, l, l], lambda x: [x FOR y IN x]) FROM (SELECT list(i) l FROM range(60000) t(i))",
    "SELECT l.list_transform(lambda x: l).flatten() FROM (SELECT list(i) l FROM range(60000) t(i))",
    "SELECT upper(s).string_split('X').apply(lambda x: s) FROM (SELECT repeat('xy', 50000) s)",
    "SELECT [l[1:50000] FOR x IN l] FROM (SELECT list(i) l FROM range(60000) t(i))",
    "SELECT [ll[1] FOR x IN l] FROM (SELECT [list(i)] ll, list(i) l FROM range(60000) t(i))",
    "SELECT list_filter([l FOR x IN l], lambda x: len(x) > 3) FROM (SELECT list(i) l FROM range(60000) t(i))",
    "SELECT array_to_string([s FOR x IN range(100000)], ',') FROM (SELECT repeat('x', 100000) s)",
    "SELECT list_sort(list_concat(l, l, l)) FROM (SELECT list(i) l FROM range(30000000) t(i))",
    "SELECT len(s || s || s || s || s) FROM (SELECT string_agg(repeat('x', 100000), '') s FROM range(4000))",
    "SELECT l || l || l || l FROM (SELECT list(i) l FROM range(30000000) t(i))",
    "SELECT [l FOR x IN l] FROM (SELECT list_resize([label], 90000) l FROM samples)",
)
