-- case: an empty text is every sample that is ok
-- ids: a1, a2, a3, b1, b2, b3, c1, c2, c3, d1

-- case: a semicolon alone is every sample too
-- ids: a1, a2, a3, b1, b2, b3, c1, c2, c3, d1
;
-- case: a column
-- ids: a1, a2, a3
label = 'red'
-- case: names are not case-sensitive
-- ids: a1, a2, a3
LABEL = 'red' and Samples.Label = 'red'
-- case: a last semicolon is taken off
-- ids: b1, b2, b3
label = 'green';
-- case: comments stay comments
-- ids: c1, c2, c3
/* blue things; all of them */
label = 'blue' -- and nothing else
-- case: a predicate over several lines
-- ids: a2, a3
label = 'red'
  AND split
    = 'test'
-- case: a trailing order
-- ids: c3, c2, c1
label = 'blue' ORDER BY lux DESC
-- case: a trailing order and limit
-- ids: c3, c2
label = 'blue' ORDER BY lux DESC LIMIT 2
-- case: limit and offset alone
-- ids: a2, a3
LIMIT 2 OFFSET 1
-- case: offset before limit
-- ids: a2, a3
OFFSET 1 LIMIT 2
-- case: only an order
-- ids: d1, c3, c2, c1, b3, b2, b1, a3, a2, a1
ORDER BY width DESC
-- case: ties go by stored order
-- ids: c1, c2, c3, b1, b2, b3, a1, a2, a3, d1
ORDER BY label
-- case: ties in an order with directions and nulls
-- ids: d1, c1, c2, c3, b1, b2, b3, a1, a2, a3
ORDER BY (label) ASC NULLS FIRST, height
-- case: qualify without where
-- ids: a1, b1, c1, d1
QUALIFY row_number() OVER (PARTITION BY label ORDER BY id) = 1
-- case: null label compares to nothing
-- ids: a1, a2, a3, c1, c2, c3
label <> 'green'
-- case: is null
-- ids: d1
label IS NULL
-- case: in a list
-- ids: a1, c2
id IN ('a1', 'c2')
-- case: between
-- ids: a2, a3, b1
width BETWEEN 20 AND 40
-- case: like
-- ids: b1, b2, b3
id LIKE 'b%'
-- case: regular expressions
-- ids: a1, b1, c1, d1
regexp_matches(id, '^.1$')
-- case: dates
-- ids: a1, a2, a3
captured_at < DATE '2024-01-04'
-- case: parts of dates
-- ids: a3
day(captured_at) = 3
-- case: a metadata column of the user
-- ids: a1, b1
weather = 'sunny'
-- case: case when
-- ids: a3, b3, c3
CASE WHEN lux > 6 THEN label = 'blue' AND id = 'c3' ELSE id LIKE '%3' END
-- case: double quotes name columns
-- ids: a1, a2, a3
"label" = 'red'
-- case: the key of the join is there by name
-- ids: a1, a2, a3, b1, b2, b3, c1, c2, c3, d1
key >= 0
-- case: a subquery
-- ids: d1
width = (SELECT max(width) FROM samples)
-- case: a correlated subquery over a model
-- ids: a3, c2
EXISTS (SELECT 1 FROM m1 WHERE m1.key = samples.key AND m1.loss > 2)
-- case: unicode does not move what follows
-- ids: a1, a2, a3
label <> 'größe 😀' AND label = 'red'
-- case: a dollar-quoted text
-- ids: a1, a2, a3
label = $$red$$
-- case: status shows the quarantined
-- ids: e1
status = 'truncated'
-- case: status in any case of letters
-- ids: a1, a2, a3, e1
label = 'red' AND "STATUS" IS NOT NULL
-- case: the word status in a text is not the column
-- ids:
label = 'status'
-- case: without status only the ok ones
-- ids: a1, a2, a3
label = 'red' AND error IS NULL
