<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Group report · fusionprep</title>
<style>
{% include 'report.css' %}
main{max-width:1800px}#fused table{font-size:13.5px}#fused td{white-space:nowrap;overflow-wrap:normal}#fused th,#fused td{padding:5px 7px;vertical-align:bottom}.number{text-align:right;font-variant-numeric:tabular-nums}
</style>
</head>
<body>
{% macro who(name) -%}
{% if name in links %}<a href="{{ links[name]|urlencode }}">{{ name }}</a>{% else %}{{ name }}{% endif %}
{%- endmacro %}
{% macro value(cell, digits=0) -%}
{% if cell == 'n/a' %}–{% elif digits %}{{ ('%.' ~ digits ~ 'g')|format(cell|float) }}{% else %}{{ cell }}{% endif %}
{%- endmacro %}
{% macro badge(verdict) -%}
<span class="badge {{ verdict if verdict in counts else 'none' }}">{{ {'review': 'please review', 'n/a': 'not scored'}.get(verdict, verdict) }}</span>
{%- endmacro %}
<header class="top"><strong>Group report · fusionprep</strong>
<nav aria-label="Sections"><a href="#fused">Fused images</a> &nbsp; <a href="#incomplete">Incomplete participants</a> &nbsp; <a href="#columns">Columns</a></nav>
</header>
<main>
<h1>Group report</h1>
<p>{{ participants }} participant{{ '' if participants == 1 else 's' }}, {{ rows|length }} fused image{{ '' if rows|length == 1 else 's' }}:
{{ badge('fail') }} {{ counts['fail'] }} &nbsp; {{ badge('review') }} {{ counts['review'] }} &nbsp; {{ badge('pass') }} {{ counts['pass'] }}.
{% if incomplete %}<a href="#incomplete">{{ incomplete|length }} incomplete</a>.{% endif %}</p>
<p class="note">Failed and doubtful registrations come first. The whole table is <a href="group_fusion.tsv">group_fusion.tsv</a>, its columns are described in <a href="group_fusion.json">group_fusion.json</a>.</p>
<section id="fused">
<h2>Fused images</h2>
{% if rows %}
<div class="wide" tabindex="0" role="region" aria-label="Fused images">
<table class="grid">
<thead><tr><th>Participant</th><th>Session</th><th>Image</th><th>Space</th><th>Model</th><th>Verdict</th><th>T1w chosen by</th><th>Days</th><th>MI before, after</th><th>Brain overlap</th><th>Turn, shift</th><th>Dice brain, GM</th><th>Brain</th><th>GM : WM</th></tr></thead>
<tbody>
{% for row in rows %}
<tr class="flag-{{ row.verdict if row.verdict in counts else 'none' }}">
<td>{{ who(row.participant_id) }}</td>
<td>{{ value(row.session_id) }}</td>
<td>{{ row.modality }}{% for name in ('tracer', 'reconstruction', 'run') %}{% if row[name] != 'n/a' %} {{ 'run ' if name == 'run' }}{{ row[name] }}{% endif %}{% endfor %}</td>
<td>{{ row.space }}</td>
<td>{{ row.model }}</td>
<td>{{ badge(row.verdict) }}</td>
<td>{{ value(row.pairing_reason) }}</td>
<td class="number">{{ value(row.day_gap) }}</td>
<td class="number">{{ value(row.mi_before, 3) }}, {{ value(row.mi_after, 3) }}</td>
<td class="number">{{ value(row.brain_overlap, 3) }}</td>
<td class="number">{{ value(row.rotation, 3) }}°, {{ value(row.translation, 3) }} mm</td>
<td class="number">{% if row.space != 'T1w' %}{{ value(row.template_mask_dice, 3) }}, {{ value(row.template_gm_dice, 3) }}{% else %}–{% endif %}</td>
<td class="number">{{ value(row.brain_volume, 4) }} mL</td>
<td class="number">{{ value(row.gm_wm_ratio, 3) }}</td>
</tr>
{% endfor %}
</tbody>
</table>
</div>
{% else %}
<p class="missing">No fused image was found.</p>
{% endif %}
</section>
<section id="incomplete">
<h2>Incomplete participants</h2>
{% if incomplete %}
<table class="grid">
<thead><tr><th>Participant</th><th>What is missing</th></tr></thead>
<tbody>
{% for name, reason in incomplete.items() %}
<tr class="flag-fail"><td>{{ who(name) }}</td><td>{{ reason }}</td></tr>
{% endfor %}
</tbody>
</table>
{% else %}
<p class="fine">None: every participant has a fused image.</p>
{% endif %}
</section>
<section id="columns">
<h2>Columns of group_fusion.tsv</h2>
<details><summary>{{ columns|length }} columns</summary>
<table class="facts">
{% for name, column in columns.items() %}
<tr><th scope="row">{{ name }}</th><td>{{ column.Description }}{% if column.Units %} ({{ column.Units }}){% endif %}</td></tr>
{% endfor %}
</table>
</details>
</section>
</main>
</body>
</html>
