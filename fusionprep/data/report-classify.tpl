<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Classification of {{ found.target }} · fusionprep</title>
<style>
{% include 'report.css' %}
.number,.grid th.number{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.areas svg{width:100%;max-width:1000px;height:auto}
.panels{display:flex;flex-wrap:wrap;gap:18px 28px}.panel{flex:0 1 520px;border:1px solid var(--line);padding:8px 12px}
.panel h3{margin:0 0 4px;font-size:16px}.panel .pair{display:flex;flex-wrap:wrap}.panel svg{flex:1 1 230px;max-width:250px;height:auto}
svg text{font:13px "Helvetica Neue",Helvetica,Arial,"DejaVu Sans",sans-serif;fill:var(--ink)}svg .tick{font-size:12px;fill:var(--soft)}svg .value{font-variant-numeric:tabular-nums}
svg .grid-line{stroke:var(--line)}svg .reference{stroke:#5a6570;stroke-dasharray:5 4;fill:none}svg .whisker{stroke:var(--accent);stroke-width:3}svg .dot{fill:var(--accent)}
svg .frame{fill:none;stroke:var(--line)}svg .curve{fill:none;stroke-width:2}svg path{fill:none}
tr.clear td{font-weight:600}
</style>
</head>
<body>
<header class="top"><strong>Classification of {{ found.target }} · fusionprep</strong>
<nav aria-label="Sections"><a href="#results">Results</a> &nbsp; {% if differences %}<a href="#differences">Differences</a> &nbsp; {% endif %}<a href="#curves">Curves</a> &nbsp; {% if maps %}<a href="#maps">Maps</a> &nbsp; {% endif %}<a href="#reading">How to read it</a></nav>
</header>
<main>
<h1>{{ found.classes|join(', ') }}: what tells them apart?</h1>
<table class="facts">
{% for name, text in facts.items() %}
<tr><th scope="row">{{ name }}</th><td>{{ text }}</td></tr>
{% endfor %}
</table>
<p class="note">All figures: <a href="results.json">results.json</a>; every subject: <a href="predictions.tsv">predictions.tsv</a>.</p>
<section id="results">
<h2>Results</h2>
<div class="areas">{{ areas }}</div>
<div class="wide" tabindex="0" role="region" aria-label="Results">
<table class="grid">
<thead><tr><th>Input</th><th>Model</th><th class="number">AUC</th><th class="number">Balanced accuracy</th>{% if binary %}<th class="number">Sensitivity</th><th class="number">Specificity</th>{% endif %}<th class="number">Brier score</th>{% if not binary %}{% for name in found.classes %}<th class="number">{{ name }} recognised</th>{% endfor %}{% endif %}<th class="number">p (permutation)</th></tr></thead>
<tbody>
{% for row in rows %}
<tr><td>{{ row.input }}</td><td>{{ row.model }}</td>{% for cell in row.cells %}<td class="number">{{ cell }}</td>{% endfor %}<td class="number">{{ row.p }}</td></tr>
{% endfor %}
</tbody>
</table>
</div>
</section>
{% if differences %}
<section id="differences">
<h2>Differences between areas</h2>
<p class="note">Of the same subjects in the same folds. Bold where the interval excludes 0.</p>
<details{% if differences|length <= 30 %} open{% endif %}><summary>{{ differences|length }} difference{{ 's' if differences|length > 1 }}</summary>
<div class="wide" tabindex="0" role="region" aria-label="Differences">
<table class="grid">
<thead><tr><th>First</th><th>Second</th><th>Both with</th><th class="number">First minus second</th><th class="number">p</th></tr></thead>
<tbody>
{% for row in differences %}
<tr{% if row['clear'] %} class="clear"{% endif %}><td>{{ row.first }}</td><td>{{ row.second }}</td><td>{{ row.by }}</td><td class="number">{{ row.auc }}</td><td class="number">{{ row.p }}</td></tr>
{% endfor %}
</tbody>
</table>
</div>
</details>
</section>
{% endif %}
<section id="curves">
<h2>ROC curves and reliability</h2>
<p class="note">Curves are means over folds. A reliable probability lies on the diagonal; bars are 95 % intervals of the observed share.</p>
<div class="panels">
{% for panel in panels %}
<div class="panel"><h3>{{ panel.name }}</h3><div class="pair">{{ panel.roc }}{{ panel.reliability }}</div></div>
{% endfor %}
</div>
</section>
{% if maps %}
<section id="maps">
<h2>Occlusion maps</h2>
<p class="note">{{ cubes }}</p>
{% for map in maps %}
<h3>{{ map.entry }}: {{ map.kind }}</h3>
<p>Up to {{ '%.0f'|format(100 * map.largest) }} % at one place. <a href="{{ map.image|urlencode }}">{{ map.image }}</a></p>
<div class="reportlet"><img src="{{ map.picture|urlencode }}" alt="Occlusion map of {{ map.kind }} for {{ map.entry }}" loading="lazy"></div>
{% endfor %}
</section>
{% endif %}
<section id="reading">
<h2>How to read it</h2>
{% for paragraph in reading %}
<p>{{ paragraph }}</p>
{% endfor %}
</section>
</main>
</body>
</html>
