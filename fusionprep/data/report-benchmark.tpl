<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Fusion benchmark · fusionprep</title>
<style>
{% include 'report.css' %}
main{max-width:1800px}.scores{font-size:14px}.scores th,.scores td{padding:5px 8px;white-space:nowrap;overflow-wrap:normal}.scores thead th{vertical-align:bottom}
.scores .number{text-align:right;font-variant-numeric:tabular-nums}.scores small{display:block;font-weight:400;font-size:12px;line-height:1.3}
.scores .rank{display:inline;color:var(--soft)}.scores tr.probes th{font-weight:600;padding-top:14px;border-top:2px solid var(--line)}.scores tr.probe td,.scores tr.probe th{color:var(--soft);background:#fafbfc}
.scores tbody th{background:none;font-weight:600}.scores tr.probe th{font-weight:400}
.montage{overflow-x:auto;background:#121212}.montage img{display:block;max-width:100%;height:auto}
.metrics th,.metrics td{padding:4px 10px}.metrics td:nth-child(-n+4){overflow-wrap:normal}
</style>
</head>
<body>
{% macro grid(table) %}
<div class="wide" tabindex="0" role="region" aria-label="{{ table.title }}">
<table class="grid scores">
<thead><tr><th>Method</th>{% for column in table.columns %}<th class="number">{{ column }}</th>{% endfor %}</tr></thead>
{% for group in ('methods', 'probes') %}
<tbody>
{% if group == 'probes' %}
<tr class="probes"><th colspan="{{ table.columns|length + 1 }}">Probes (do not compete{{ '; with the rank each would get' if table.ranked }})</th></tr>
{% endif %}
{% for line in table.lines if (line.method.kind == 'probe') == (group == 'probes') %}
<tr{% if group == 'probes' %} class="probe"{% endif %}><th scope="row" title="{{ line.method.title }}">{{ line.method.name }}<small>{{ line.method.title|truncate(48) }}</small></th>
{%- for cell in line.cells %}<td class="number">{% if cell.best %}<strong>{{ cell.value }}</strong>{% else %}{{ cell.value }}{% endif %}{% if cell.rank %} <span class="rank">({{ cell.rank }})</span>{% endif %}{% if cell.interval %}<small>[{{ cell.interval }}]</small>{% endif %}</td>{% endfor %}</tr>
{% endfor %}
</tbody>
{% endfor %}
</table>
</div>
{% endmacro %}
<header class="top"><strong>Fusion benchmark · fusionprep</strong>
<nav aria-label="Sections">{% for dataset in datasets %}<a href="#{{ dataset.name|urlencode }}">{{ dataset.name }}</a> &nbsp; {% endfor %}{% if reader_terms %}<a href="#reader">{{ reader }}</a> &nbsp; {% endif %}<a href="#metrics">Metrics</a> &nbsp; <a href="#guards">Guards</a></nav>
</header>
<main>
<h1>Fusion benchmark</h1>
{% for paragraph in reading %}
<p class="note">{{ paragraph }}</p>
{% endfor %}
<p class="note">All figures: <a href="summary.tsv">summary.tsv</a>; every pair: <a href="pairs.tsv">pairs.tsv</a>; versions and weights: <a href="benchmark.json">benchmark.json</a>.</p>
{% for dataset in datasets %}
<section id="{{ dataset.name }}">
<h2>{{ dataset.name }}</h2>
<p>{{ dataset.sample }}</p>
{% for table in dataset.tables %}
{% if table.title == 'Further metrics' %}
<details><summary>{{ table.title }}: {{ table.columns|join(', ') }}</summary>
{{ grid(table) }}
</details>
{% else %}
<h3>{{ table.title }}</h3>
{{ grid(table) }}
{% endif %}
{% endfor %}
<h3>Sources and fused images</h3>
<div class="montage"><a href="{{ dataset.montage|urlencode }}"><img src="{{ dataset.montage|urlencode }}" alt="Sources and fused images of {{ dataset.name }}"></a></div>
{% if dataset.lesions %}
<h3>Planted lesions</h3>
<p class="note">{{ lesions_text }}</p>
<div class="montage"><a href="{{ dataset.lesions|urlencode }}"><img src="{{ dataset.lesions|urlencode }}" alt="Planted lesions in {{ dataset.name }}"></a></div>
{% endif %}
</section>
{% endfor %}
{% if reader_terms %}
<section id="reader">
<h2>{{ reader }}</h2>
<p class="note">{{ reader_text }}</p>
<table class="facts">
{% for name, text in reader_terms.items() %}
<tr><th scope="row">{{ name }}</th><td>{{ text }}</td></tr>
{% endfor %}
</table>
</section>
{% endif %}
<section id="metrics">
<h2>Metrics</h2>
<div class="wide" tabindex="0" role="region" aria-label="Metrics">
<table class="grid metrics">
<thead><tr><th>Metric</th><th>What it measures</th><th>Better</th><th>In the mean rank</th><th>Convention</th><th>Source</th></tr></thead>
<tbody>
{% for metric in metrics %}
<tr><td><strong>{{ metric.name }}</strong></td><td>{{ metric.title }}</td><td>{{ metric.better }}</td><td>{{ 'yes' if metric.name in ranked else 'no' }}</td><td>{{ metric.convention }}</td><td>{{ metric.source }}</td></tr>
{% endfor %}
</tbody>
</table>
</div>
</section>
<section id="guards">
<h2>Guards</h2>
<p class="note">What a good fusion must pass whatever its ranks; none of them is ranked.</p>
<table class="facts">
{% for name, text in guards.items() %}
<tr><th scope="row">{{ name }}</th><td>{{ text }}</td></tr>
{% endfor %}
</table>
</section>
</main>
</body>
</html>
