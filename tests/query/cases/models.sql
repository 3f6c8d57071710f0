-- case: a model's column
-- ids: a3, b2, c2
m1.loss > 1
-- case: label against prediction and confidence
-- ids: a3, c2
label <> m1.prediction AND m1.confidence > 0.9
-- case: A right, B wrong
-- ids: a2, c3
m1.correct AND NOT m2.correct
-- case: no row in a model is null, not wrong
-- ids: a2, b2, c3
NOT m2.correct
-- case: no prediction
-- ids: b3, d1
m2.prediction IS NULL
-- case: top by loss
-- ids: a3, c2
ORDER BY m1.loss DESC LIMIT 2
-- case: model names are not case-sensitive
-- ids: a3, c2
M1.LOSS > 2
-- case: a model's name in quotes
-- ids: a3, c2
"m1"."loss" > 2
-- case: the probability of a class
-- ids: a1, a2, c2
m1.probabilities['red'] > 0.5
-- case: probabilities of two models
-- ids: a1
m1.probabilities['red'] > 0.5 AND m2.probabilities['red'] > 0.7
-- case: probabilities by number
-- ids: a1, a2, c2
m1.probabilities[1] > 0.5
-- case: the probability of the label
-- ids: a1, a2, b1, c1
m1.probabilities[label] > 0.5
-- case: the probability of the class that another model predicts
-- ids: a2, a3, c2
m1.probabilities[m2.prediction] < 0.3
-- case: the probability of a class that an expression names
-- ids: a1, a2, b1, c1
m1.probabilities[lower(upper(label))] > 0.5
-- case: the class is a number where its type is one
-- ids: a1, a2, b1
m1.probabilities[CASE label WHEN 'red' THEN 1 ELSE 2 END] > 0.5
-- case: a name that is no class has no probability
-- ids:
m1.probabilities[id] IS NOT NULL
-- case: a class in a FROM of the model alone
-- ids: a1, a2, c2
SELECT id FROM m1 WHERE probabilities['red'] > 0.5
-- case: the probability of a joined label
-- ids: a1, a2, b1, c1
SELECT s.id FROM samples s JOIN m1 USING (key) WHERE m1.probabilities[s.label] > 0.5
-- case: the whole list of probabilities
-- ids: c3
list_max(m1.probabilities) < 0.45
-- case: the greatest of two losses
-- ids: a3, b2, c2, c3
greatest(m1.loss, m2.loss) >= 2
-- case: models disagree
-- ids: a2, a3, c2, c3
m1.prediction <> m2.prediction
-- case: a select over a model
-- ids: a3, b2, c2
FROM m1 SELECT id WHERE loss > 1
-- case: a model with an alias
-- ids: a3, c2
SELECT p.id FROM m1 AS p WHERE p.loss > 2
-- case: a class of a model that is in the FROM
-- ids: a1, a2, c2
SELECT id FROM m1 WHERE m1.probabilities['red'] > 0.5
-- case: samples joined with a model
-- ids: a3, c2
SELECT samples.id FROM samples JOIN m1 USING (key) WHERE m1.loss > 2 ORDER BY 1
-- case: an alias of samples, with the model named through it
-- ids*: b2, c2
SELECT a.id FROM samples a JOIN samples b ON a.label = b.label AND a.id < b.id WHERE a.m1.loss > 1
-- case: group by a prediction
-- rows: [["blue", 3], ["green", 3], ["red", 3], [null, 1]]
SELECT m1.prediction, count(*) FROM samples WHERE true OR id = 'd1' GROUP BY 1 ORDER BY count(*) DESC, 1 NULLS LAST
-- case: accuracy by label over two models
-- rows: [["blue", 3, 0.66667, 0.66667], ["green", 3, 0.66667, 0.5], ["red", 3, 0.66667, 0.66667], [null, 1, null, null]]
SELECT label, count(*) n, avg(m1.correct::INT), avg(m2.correct::INT) FROM samples GROUP BY ALL ORDER BY label
-- case: having
-- rows: [["red", 1.16667]]
SELECT label, avg(m1.loss) l FROM samples GROUP BY label HAVING avg(m1.loss) > 1.15
-- case: a window over a model
-- ids: b2, c2, a3
SELECT id, row_number() OVER (PARTITION BY label ORDER BY m1.loss DESC) r FROM samples WHERE label IS NOT NULL QUALIFY r = 1 ORDER BY m1.loss
-- case: a CTE with a model inside
-- rows: [[3]]
WITH wrong AS (SELECT id, m1.loss FROM samples WHERE NOT m1.correct) SELECT count(*) FROM wrong WHERE loss > 1
-- case: a CTE joined with a model
-- ids: a3
WITH reds AS (FROM samples WHERE label = 'red') SELECT reds.id FROM reds JOIN m1 USING (key) WHERE m1.loss > 1
-- case: a CTE that takes the name of samples
-- rows: [[3]]
WITH samples AS (SELECT * FROM samples WHERE label = 'red') SELECT count(*) FROM samples
-- case: a nested select keeps the short name
-- rows: [[3.0]]
FROM (SELECT m1.loss FROM samples) SELECT max(loss)
-- case: a recursive CTE
-- rows: [[15]]
WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 5) SELECT sum(n) FROM t
-- case: union of two parts
-- ids*: a3, b1
SELECT id FROM samples WHERE m1.loss > 2.9 UNION ALL SELECT id FROM samples WHERE id = 'b1'
-- case: pivot
-- rows: [["test", 2, 2, 1], ["train", 1, 1, 1], [null, 0, 0, 1]]
FROM (SELECT label, split FROM samples WHERE label IS NOT NULL) PIVOT (count(*) FOR label IN ('red', 'green', 'blue')) ORDER BY split
-- case: unnest and lists
-- rows: [["night", 2], ["rain", 2]]
SELECT t, count(*) FROM (SELECT unnest(tags) AS t FROM samples) GROUP BY ALL ORDER BY ALL
-- case: filter in an aggregate
-- rows: [[3, 4]]
SELECT count(*) FILTER (m1.loss > 1), count(*) FILTER (NOT m2.correct) + 1 FROM samples
-- case: star with exclude is still rows
-- ids: a3, c2
SELECT * EXCLUDE (uri) FROM samples WHERE m1.loss > 2
-- case: star with one name excluded
-- ids: a3, c2
SELECT * EXCLUDE uri FROM samples WHERE m1.loss > 2
-- case: star with replace
-- ids: a3, c2
SELECT * REPLACE (upper(label) AS label) FROM samples WHERE m1.loss > 2
-- case: star of a join
-- ids*: a3, c2
SELECT samples.* FROM samples JOIN m1 USING (key) WHERE m2.loss < 1 AND m1.loss > 2
-- case: columns by a pattern
-- rows: [[100, 20]]
SELECT max(COLUMNS('width|height')) FROM samples
-- case: distinct
-- rows: [["blue"], ["green"], ["red"]]
SELECT DISTINCT m1.prediction FROM samples WHERE m1.prediction IS NOT NULL ORDER BY 1
-- case: no table at all
-- rows: [[2]]
SELECT 1 + 1
-- case: values
-- rows: [[1], [2]]
SELECT * FROM (VALUES (1), (2)) t(x) ORDER BY x
-- case: range
-- rows: [[3]]
SELECT count(*) FROM range(3)
-- case: a lateral join
-- rows: [["a1", "night"], ["a2", "night"], ["a2", "rain"]]
SELECT s.id AS sample, t FROM samples s, unnest(s.tags) u(t) WHERE s.label = 'red' ORDER BY ALL
-- case: a classifier's column beside boxes
-- rows: [["blue"], ["red"]]
SELECT DISTINCT m2.prediction FROM objects ORDER BY 1
-- case: an average of true and false
-- rows: [["blue", 0.6667, 0.3333], ["green", 0.6667, 0.3333], ["red", 0.6667, 0.3333]]
SELECT label, avg(m1.correct), mean(NOT m1.correct) FROM samples WHERE label IS NOT NULL GROUP BY ALL ORDER BY label
-- case: an average of conditions
-- rows: [[0.3333, 0.6667, 0.7778]]
SELECT avg ( label = 'red' ), avg(m1.correct AND m1.loss < 2), avg(m2.loss IS NOT NULL AND m2.loss < 3.5) FROM samples WHERE label IS NOT NULL
-- case: an average of true and false in a model's relation
-- rows: [[0.6667, 1.0]]
SELECT avg(correct), avg(correct) FILTER (loss < 0.1) FROM m1
-- case: an average of a word of ours
-- rows: [[0.2]]
SELECT avg(has_tag('night')) FROM samples
-- case: an average of numbers is left as it is
-- rows: [[9.01]]
SELECT sum(loss) FROM m1
-- case: a probability as if it were a field
-- error: BindError 1:1 'm1'
-- hint: probabilities['red'] is the probability of that class
m1.probabilities.red > 0.5
