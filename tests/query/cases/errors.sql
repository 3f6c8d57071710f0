-- case: an unknown column
-- error: BindError 1:1 'lable'
-- hint: did you mean 'label'
lable = 'red'
-- case: an unknown column on the third line
-- error: BindError 3:7 'lable'
-- hint: did you mean 'label'
label = 'größe'
  AND split = 'x'
  AND lable = 'red'
-- case: an unknown column of samples
-- error: BindError 1:9 'lable'
-- hint: did you mean 'label'
samples.lable = 'red'
-- case: an unknown column in a select
-- error: BindError 1:8 'lable'
SELECT lable FROM samples
-- case: an unknown column of a model
-- error: BindError 1:4 'los'
-- hint: did you mean 'loss'
m1.los > 1
-- case: an unknown model
-- error: BindError 1:1 'm3.loss'
-- hint: m1, m2
m3.loss > 1
-- case: an unknown class
-- error: BindError 1:18 ''rad''
-- hint: did you mean 'red'
m1.probabilities['rad'] > 0.5
-- case: an unknown table
-- error: BindError 1:15 'sample'
-- hint: did you mean 'samples'
SELECT * FROM sample
-- case: an unknown function
-- error: BindError 1:1 'similarty'
-- hint: did you mean 'similarity'
similarty('red') > 0.5
-- case: an unknown slice
-- error: BindError 1:10 ''redz''
-- hint: did you mean 'reds'
in_slice('redz')
-- case: a slice that includes itself
-- error: BindError
-- hint: loop_a -> loop_b -> loop_a
in_slice('loop_a')
-- case: an error inside a slice says which
-- error: BindError 1:1 'lable'
-- hint: In slice 'broken'
label = 'x' OR in_slice('broken')
-- case: a slice without ids
-- error: BindError 1:10 ''counted''
in_slice('counted')
-- case: an unknown embedding
-- error: BindError 1:28 ''defalt''
-- hint: did you mean 'default'
similarity('red', using => 'defalt') > 0.5
-- case: an unknown option
-- error: BindError 1:31 '5'
-- hint: did you mean 'min_area'
has_object('car', min_aria => 5)
-- case: no argument
-- error: BindError 1:1 'similarity()'
similarity() > 0.5
-- case: too many arguments
-- error: BindError 1:14 '0.5'
-- hint: needs a text
matches('a', 0.5, 1)
-- case: a minimum out of range
-- error: BindError 1:16 '1.5'
matches('red', 1.5)
-- case: a k that is no number
-- error: BindError 1:18 ''k''
nearest('green', 'k')
-- case: a k of zero
-- error: BindError 1:18 '0'
nearest('green', 0)
-- case: half a neighbour
-- error: BindError 1:18 '2.5'
nearest('green', 2.5)
-- case: an empty text
-- error: BindError 1:12 '' ''
similarity(' ') > 0
-- case: a column as the target
-- error: BindError 1:12 'label'
similarity(label) > 0
-- case: a target outside
-- error: BindError 1:1 'sample('a1')'
sample('a1') > 0
-- case: an unknown sample
-- error: BindError 1:19 ''zz''
similarity(sample('zz')) > 0
-- case: a sample without an embedding
-- error: BindError 1:19 ''d1''
similarity(sample('d1')) > 0
-- case: a file where none may be read
-- error: SandboxError 1:18 ''x.png''
similarity(image('x.png')) > 0
-- case: a file inside a slice
-- error: SandboxError
-- hint: In slice 'reading'
in_slice('reading')
-- case: a picture that came with another query
-- error: BindError 1:18 ''upload:00000000000000ff''
-- hint: image($picture)
similarity(image('upload:00000000000000ff')) > 0
-- case: a picture that is not kept, inside a slice
-- error: BindError
-- hint: sample('its id')
in_slice('handed')
-- case: meaning without samples
-- error: BindError 1:31 'similarity('red')'
-- hint: FROM samples
SELECT count(*) FROM m1 WHERE similarity('red') > 0
-- case: a model through a CTE
-- error: BindError 1:61 'm1.loss'
WITH t AS (SELECT label FROM samples) SELECT * FROM t WHERE m1.loss > 1
-- case: two samples relations and no alias
-- error: BindError 1:67 'm1.loss'
SELECT a.id FROM samples a JOIN samples b USING (label) WHERE 1 < m1.loss
-- case: text in double quotes
-- error: BindError 1:9 '"red"'
-- hint: single quotes
label = "red"
-- case: comparing a text with a number
-- error: BindError 1:1 'label'
label > 5
-- case: an operator that is not there
-- error: BindError
label + 1 = 2
-- case: a predicate that does not parse
-- error: ParseError 1:9 '='
label = = AND
-- case: parentheses left open
-- error: ParseError
(label = 'red'
-- case: a string left open
-- error: ParseError 1:9 ''red'
label = 'red
-- case: a comment left open
-- error: ParseError 1:15
label = 'red' /* why
-- case: a select that does not parse
-- error: ParseError 1:1 'SELECT'
-- hint: without selection list
SELECT FROM samples
-- case: group by in a predicate
-- error: ParseError
-- hint: begin the whole query with SELECT
label = 'red' GROUP BY label
-- case: union in a predicate
-- error: ParseError
label = 'red' UNION SELECT * FROM samples
-- case: a parameter
-- error: ParseError
label = ?
-- case: a named parameter
-- error: ParseError
label = $name
-- case: a number that does not fit
-- error: QueryError
width = 'abc'::INT
-- case: an aggregate in where
-- error: BindError
count(*) > 3
-- case: columns of an unknown alias
-- error: BindError 1:8 'x.label'
SELECT x.label FROM samples s
-- case: at in a query
-- error: BindError 1:15
SELECT * FROM samples AT (VERSION => 1)
-- case: a search of a column that is not there
-- error: BindError 1:25 ''wether''
-- hint: did you mean 'weather'
search('red', column => 'wether') IS NOT NULL
-- case: a search of numbers
-- error: BindError 1:25 ''lux''
-- hint: text columns:
search('red', column => 'lux') IS NOT NULL
-- case: a phrase left open
-- error: BindError 1:8 ''"red car''
-- hint: a phrase stands between two
search('"red car') IS NOT NULL
-- case: fused scores in a filter
-- error: BindError
-- hint: ORDER BY or QUALIFY
fuse(similarity('red')) > 0.01
-- case: a fuse with a negative k
-- error: BindError 1:39
-- hint: fuse(score
ORDER BY fuse(similarity('red'), k => -1)
-- case: weighted outside a term
-- error: BindError 1:1 'weighted('red', 2)'
-- hint: stands inside
weighted('red', 2) > 0
-- case: a weight of nothing
-- error: BindError 1:28 '0'
-- hint: does nothing
similarity(weighted('red', 0)) > 0.5
-- case: a weight that is no number
-- error: BindError 1:28 ''a''
-- hint: needs a number
similarity(weighted('red', 'a')) > 0.5
-- case: a weight inside a weight
-- error: BindError
-- hint: weight stands inside a weight
similarity('red', without(weighted('green', 2))) > 0.5
-- case: a target of another kind
-- error: BindError 1:12 'lower('red')'
-- hint: A target is
similarity(lower('red')) > 0.5
-- case: targets that cancel out
-- error: BindError 1:12 ''red''
-- hint: cancel out
similarity('red', without('red')) > 0.5
-- case: matches told only what to be unlike
-- error: BindError
-- hint: only told what to be unlike
matches(without('red'))
-- case: nearest told only what to be unlike
-- error: BindError
-- hint: only told what to be unlike
nearest(without('red'), 2)
-- case: a sample in matches
-- error: BindError 1:9 'sample('a1')'
-- hint: is no target of matches
matches(sample('a1'))
-- case: calibrated by a slice that is not there
-- error: BindError 1:30 ''nope''
-- hint: No slice 'nope'
matches('red', calibrated => 'nope')
-- case: calibrated by a slice that is not calibrated
-- error: BindError 1:30 ''reds''
-- hint: is not calibrated
matches('red', calibrated => 'reds')
-- case: a calibrated cut and a minimum
-- error: BindError 1:35 ''reddest''
-- hint: brings its own cut
matches('red', 0.7, calibrated => 'reddest')
-- case: calibrated for another text
-- error: BindError 1:32 ''reddest''
-- hint: calibrated for another text
matches('green', calibrated => 'reddest')
-- case: a commit inside a text that is not asked by itself
-- error: ParseError 1:15 'AT'
-- hint: ask with at=
label = 'red' AT 'v1'
-- case: a score in place of a condition
-- error: ParseError 1:1 'similarity' matches(...) is a condition
similarity('red')
-- case: a score among conditions
-- error: ParseError 1:38 'similarity' > 0.3
label = 'red' AND (m1.correct OR NOT similarity('red'))
-- case: a parameter without a value
-- error: ParseError 1:9 '$label'
-- hint: params={'name': value} in Python, --param name=value
label = $label
-- case: a parameter without a name
-- error: ParseError 1:9 '?'
-- hint: params={'name': value}
label = ? AND split = 'test'
-- case: the statement PIVOT
-- error: SandboxError 1:1 'PIVOT'
-- hint: PIVOT samples ON split IN ('train', 'test')
PIVOT samples ON split USING count(*) GROUP BY label
-- case: the statement PIVOT inside
-- error: SandboxError 1:16 'PIVOT'
-- hint: name the values
SELECT * FROM (PIVOT samples ON split USING count(*) GROUP BY label)
-- case: several patterns for LIKE
-- error: ParseError 1:15 'ANY'
-- hint: LIKE takes one pattern
caption ILIKE ANY ['%red%', '%blue%']
-- case: an average in a condition
-- error: BindError 1:11 'avg'
-- hint: compare with a subquery
m1.loss > avg(m1.loss)
-- case: a model of rows that are no samples
-- error: BindError 1:62 'w'
-- hint: JOIN m1 USING (key)
WITH w AS (SELECT * FROM samples WHERE lux > 0.5) SELECT id, w.m1.loss FROM w
-- case: a field of the list of boxes
-- error: BindError 1:1 'objects'
-- hint: has_object('car'), FROM objects
objects.label = 'car'
-- case: an average of true and false of unknown type
-- error: BindError 1:56 'avg'
-- hint: write avg(x::INT)
WITH w AS (SELECT m1.correct AS c FROM samples) SELECT avg(c) FROM w
-- case: a sample without its folder
-- error: BindError 1:28 ''a''
-- hint: an id is written as `id` shows it, with its folders
ORDER BY similarity(sample('a')) DESC
-- case: a comment and nothing else
-- error: ParseError
-- hint: comment and nothing else
/* label = 'red' */
