-- case: ordered by similarity
-- ids: a1, a2, a3
ORDER BY similarity('red') DESC LIMIT 3
-- case: a threshold on similarity
-- ids: a1, a2, a3
similarity('red') > 0.7
-- case: least similar first
-- ids: a1, a2
label = 'red' ORDER BY similarity('green') LIMIT 2
-- case: no embedding is last
-- ids: c3, d1
id IN ('c3', 'd1') ORDER BY similarity('red') DESC
-- case: similarity and SQL
-- ids: a3, a2
split = 'test' AND label = 'red' ORDER BY similarity('green') DESC
-- case: several targets are averaged
-- ids: a3, a2
ORDER BY similarity('red', 'green') DESC LIMIT 2
-- case: a sample as the target
-- ids: c1, b3
ORDER BY similarity(sample('c1')) DESC LIMIT 2
-- case: a text and a sample averaged
-- ids: a3
ORDER BY similarity('red', sample('b1')) DESC LIMIT 1
-- case: the embedding by name
-- ids: a1
similarity('red', using => 'default') > 0.99
-- case: using in quotes works as well
-- ids: a1
similarity('red', "using" => 'DEFAULT') > 0.99
-- case: using in capitals and with another arrow
-- ids: a1
similarity('red', USING := 'default') > 0.99
-- case: two meanings and a model
-- ids: a2
similarity('red') > 0.5 AND similarity('green') > 0.2 AND NOT m2.correct
-- case: or and not over meaning
-- ids: a1, c3
(similarity('red') > 0.99 OR similarity('dull') > 0.99) AND NOT similarity('green') > 0.5
-- case: no embedding is neither similar nor not
-- ids: d1
similarity('red') IS NULL
-- case: matches
-- ids: a1, a2
matches('red')
-- case: not matches leaves out what has no embedding
-- ids: a3, b1, b2, b3, c1, c2, c3
NOT matches('red')
-- case: matches with a minimum
-- ids: a1, a2, a3
matches('red', 0.2)
-- case: matches in a select list
-- rows: [[2]]
SELECT count(*) FILTER (matches('red')) FROM samples
-- case: nearest
-- ids: b1, b2
nearest('green', 2)
-- case: nearest a sample, itself included
-- ids: b3, c1
nearest(sample('c1'), 2)
-- case: nearest does not depend on the rest
-- ids:
nearest('green', 2) AND label = 'red'
-- case: nearest of more than there are
-- ids: a1, a2, a3, b1, b2, b3, c1, c2, c3
nearest('green', 1000)
-- case: similarity as a column
-- ids: a1, a2
SELECT *, similarity('red') AS s FROM samples ORDER BY s DESC LIMIT 2
-- case: similarity in an aggregate
-- rows: [["red", 1.0]]
SELECT label, max(similarity('red')) FROM samples GROUP BY label ORDER BY 2 DESC NULLS LAST LIMIT 1
-- case: similarity in an arithmetic order
-- ids: a3, a2
ORDER BY similarity('red') + similarity('green') DESC LIMIT 2
-- case: a window over similarity sees every row
-- rows: [[10]]
SELECT max(n) FROM (SELECT count(*) OVER () AS n, similarity('red') AS s FROM samples ORDER BY s DESC LIMIT 2)
-- case: similarity through a nested select
-- ids: a1
SELECT id FROM (SELECT id, similarity('red') AS s FROM samples) WHERE s > 0.99
-- case: the order is by the second key within ties of meaning
-- ids: b3, c2, c1
similarity('blue') > 0.5 ORDER BY round(similarity('blue')), label DESC, id DESC LIMIT 3
-- case: a limit past the scored rows keeps the rest
-- ids: c3, b1
label = 'blue' AND id = 'c3' OR id = 'b1' ORDER BY similarity('dull') DESC LIMIT 5
-- case: status and meaning
-- ids: a1, a2, a3
label = 'red' AND status = 'ok' AND similarity('red') > 0
-- case: a search is a hit where it is not null
-- ids: b1, b2, b3
search('green') IS NOT NULL
-- case: a search joined with SQL and a model
-- ids: a3
search('red') > 0 AND NOT m1.correct
-- case: a search of one column
-- ids: a1, b1
search('sunny', column => 'weather') IS NOT NULL
-- case: the column of a search in capitals and with another arrow
-- ids: a1, b1
search('Sunny', COLUMN := 'WEATHER') IS NOT NULL
-- case: a phrase
-- ids: c1, c2, c3
search('"blue picture"') IS NOT NULL
-- case: a phrase the other way round
-- ids:
search('"picture blue"') IS NOT NULL
-- case: ordered by a search, hits first
-- ids: c1, c2, c3, a1
ORDER BY search('blue picture') DESC LIMIT 4
-- case: a search of the samples that boxes lie in
-- rows: [["blue", 2], ["red", 3]]
SELECT samples.label, count(*) FROM objects WHERE search('red blue') IS NOT NULL GROUP BY ALL ORDER BY ALL
-- case: scores fused by rank
-- ids: b1, b2
ORDER BY fuse(similarity('green'), search('green')) DESC LIMIT 2
-- case: a search inside a slice and outside
-- ids: a3
in_slice('wrong_reds') AND search('red') > 0
-- case: a search scaled and weighted
-- ids: a1, a2
SELECT *, similarity('red') + 0.1 * search('red') AS s FROM samples ORDER BY s DESC NULLS LAST LIMIT 2
-- case: a target to be unlike
-- ids: a1, a2, a3
ORDER BY similarity('red', without('green')) DESC LIMIT 3
-- case: the cosine with a target to be unlike
-- rows: [[0.707, 0.4473, 0.0]]
SELECT * FROM (SELECT similarity('red', without('green')) AS s, id FROM samples WHERE id IN ('a1', 'a2', 'a3')) PIVOT (max(s) FOR id IN ('a1', 'a2', 'a3'))
-- case: a target that counts half
-- ids: a2, a3, a1
ORDER BY similarity('red', weighted('green', 0.5)) DESC LIMIT 3
-- case: a negative weight is without
-- rows: [[0]]
SELECT count(*) FROM samples WHERE similarity('red', without('blue')) <> similarity('red', weighted('blue', -1))
-- case: a text, a sample and a weight mixed
-- ids: c2
ORDER BY similarity(weighted(sample('c1'), 2), without('green'), 'dull') DESC LIMIT 1
-- case: without alone is the farthest
-- ids: b1
ORDER BY similarity(without('red'), 'green') DESC LIMIT 1
-- case: matches several texts averaged
-- ids: a3
matches('red', 'green')
-- case: matches without a text that says nearly the same
-- ids: a1
matches('red', without('red green'), 0.8)
-- case: matches against a text that counts four times
-- ids: a1
matches('red', weighted('red green', -4))
-- case: nearest to two targets
-- ids: a3
nearest('red', 'green', 1)
-- case: nearest without
-- ids: a1, a2
nearest('red', without('green'), 2)
-- case: or, not, sql, two models and five meanings
-- ids: a3, b2, c2
(similarity('red', without('green')) > -0.1 OR nearest('green', 'blue', 2) OR matches('blue', 0.2)) AND NOT (matches('red') OR similarity(sample('b3')) > 0.99) AND NOT m1.correct AND m2.confidence > 0.1
-- case: calibrated to a cut of its own
-- ids: a1
matches('red', calibrated => 'reddest')
-- case: calibrated to a direction beside the text
-- ids: a1, a2
matches('red', calibrated => 'red_or_greenish')
-- case: calibrated to a flatter scale
-- ids: a1
matches('red', calibrated => 'shy_red')
-- case: not calibrated leaves out what has no embedding
-- ids: a2, a3
label = 'red' AND NOT matches('red', calibrated => 'reddest')
-- case: calibrated and not, in one text
-- ids: a2
matches('red') AND NOT matches('red', calibrated => 'reddest')
