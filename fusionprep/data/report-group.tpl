<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Group report · fusionprep</title>
<style>
{% if style %}{{ style }}{% endif %}

{% include 'report.css' %}
main{max-width:1800px}
.number{text-align:right;font-variant-numeric:tabular-nums}
#scans table{font-size:13.5px}#scans td,#scans th{white-space:nowrap;overflow-wrap:normal}#scans th,#scans td{padding:5px 7px}#scans td.words{white-space:normal;overflow-wrap:anywhere;min-width:150px;max-width:34em;text-align:left}#scans th.dt-type-numeric .dt-column-header{flex-direction:row}
.first,.sheet{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,306px),1fr));gap:14px;margin:12px 0;padding:0;list-style:none}
.card{border:3px solid #aab3bc;border-radius:6px;padding:8px;background:#fff;content-visibility:auto;contain-intrinsic-size:300px 260px;min-width:0}
.sheet .card{contain-intrinsic-size:300px 150px}
.card.fail{border-color:#b3261e}.card.review{border-color:#d99a00}.card.pass{border-color:#4c9a66}.card[hidden]{display:none}
.card img{display:block;width:100%;max-width:432px;height:auto;background:#000;margin:6px 0}
.card .none{display:flex;align-items:center;justify-content:center;aspect-ratio:3;background:var(--tint);color:var(--soft);margin:6px 0;font-style:italic}
.card ul{margin:6px 0;padding-left:20px;font-size:14px}.card h3{font-size:15px;margin:0}
.card .given{font-size:14px;color:var(--soft)}
.rate{display:flex;gap:8px;margin-top:6px}.rate select,.rate input{font:inherit;font-size:14px;padding:3px 6px;border:1px solid #8a949e;border-radius:4px;background:#fff;color:var(--ink)}.rate input{flex:1}
#sheet-pages{position:sticky;bottom:0;background:#fff;padding:6px 0}.tools input[type=search]{font:inherit;font-size:15px;padding:4px 8px;color:var(--ink);border:1px solid #8a949e;border-radius:4px;background:#fff;min-width:0}.tools button:disabled{opacity:.45;cursor:default}
.tools{display:flex;flex-wrap:wrap;gap:10px 20px;align-items:center;margin:8px 0}.tools label{display:inline-flex;max-width:100%;gap:8px;align-items:center;font-weight:600;color:var(--soft)}
.tools select,.tools button,.dt-container select,.dt-container input{font:inherit;font-size:15px;font-weight:400;padding:4px 8px;color:var(--ink);border:1px solid #8a949e;border-radius:4px;background:#fff}
.tools button{cursor:pointer}.tools button.main{background:var(--accent);border-color:var(--accent);color:#fff}
[hidden]{display:none!important}
.plots{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,360px),1fr));gap:8px 28px}
.plots figure,.cohort figure{margin:6px 0;min-width:0}figcaption{font-weight:600;font-size:15px}
.plots svg{display:block;width:100%;height:auto}
.plots text{font:12.5px "Helvetica Neue",Helvetica,Arial,"DejaVu Sans",sans-serif;fill:#1d2329}.plots .tick{text-anchor:middle;fill:#5a6570}
.plots .who{paint-order:stroke;stroke:#fff;stroke-width:3px;fill:#8a1212;font-weight:600}.plots .grid-line{stroke:#e3e7ea}
.plots .box{fill:#dfe8ef;stroke:#3d6f92;stroke-width:1.2}.plots .median{stroke:#14202b;stroke-width:2.5}
.plots .points{stroke:#1f5f8b;stroke-width:4;stroke-linecap:round;stroke-opacity:.45;fill:none}
.plots .outlier{fill:#b3261e;stroke:#fff}.plots a:focus-visible .outlier{stroke:#14202b;stroke-width:3}
.cohort{display:flex;flex-wrap:wrap;gap:14px 28px}.cohort figure{flex:1 1 420px;max-width:760px}.cohort img{display:block;width:100%;height:auto;background:#000}
.cohort.strip figure{flex-basis:100%;max-width:1100px}div.dt-container .dt-paging .dt-paging-button{margin-top:0;margin-bottom:0}.scale{display:flex;gap:8px;align-items:center;font-size:14px;margin:4px 0}.scale i{flex:1;height:12px;border:1px solid #8a949e}
#models table{font-size:14px}#models td,#models thead th{white-space:nowrap}#models tbody th{min-width:9em;overflow-wrap:anywhere}#models small{display:block}#models thead th:not(:first-child){text-align:right}.best{font-weight:700}
</style>
</head>
<body>
{% macro who(name) -%}
{% if name in reports %}<a href="{{ reports[name]|urlencode }}">{{ name }}</a>{% else %}{{ name }}{% endif %}
{%- endmacro %}
{% macro value(cell) -%}{{ '–' if cell in (none, '') else cell }}{%- endmacro %}
{% macro badge(verdict) -%}
<span class="badge {{ verdict if verdict in ratings else 'none' }}">{{ {'review': 'please review', 'n/a': 'not scored'}.get(verdict, verdict) }}</span>
{%- endmacro %}
{% macro session(scan) -%}{% if scan.values.session_id %} {{ scan.values.session_id }}{% endif %}{%- endmacro %}
{% macro thumbnail(card) -%}
{% if card.thumbnails %}<img src="{{ card.thumbnails[0][2]|urlencode }}" width="288" height="96" loading="lazy" decoding="async" alt="{{ card.thumbnails[0][1] }} fusion of {{ card.scan.participant }}{{ session(card.scan) }} {{ card.scan.image }}, axial, coronal and sagittal slice">{% else %}<div class="none">{{ 'no thumbnail' if card.scan.fused else 'not fused' }}</div>{% endif %}
{%- endmacro %}
{% macro rated(card) -%}
{% if card.rating %}{% if card.rating.rating %}rated {{ card.rating.rating }}{% if card.index in findings.excluded %}, left out{% endif %}{% endif %}{% if card.rating.note %}{{ ': ' if card.rating.rating else 'note: ' }}{{ card.rating.note }}{% endif %}{% endif %}
{%- endmacro %}
{% macro outlier(item) -%}
{{ item.measure.title }} <strong>{{ item.value|number }}</strong>{% if item.measure.unit %} {{ item.measure.unit }}{% endif %}, median {{ item.median|number }}, <span class="z">z {{ '%+.1f'|format(item.z) }}</span>
{%- endmacro %}
{% macro cells(spread) -%}
{% if spread %}<span{% if spread.best %} class="best"{% endif %}>{{ spread.median|number(3, padded=true) }}</span><small>[{{ spread.first|number(3, padded=true) }}, {{ spread.third|number(3, padded=true) }}]</small>{% else %}–{% endif %}
{%- endmacro %}
{% macro flag(card) -%}flag-{{ card.verdict if card.verdict in ratings else 'none' }}{%- endmacro %}
{% set at_verdict, at_outliers = 3, 5 %}
{% set classes = ['', '', '', '', 'words rating', 'words'] + ['number'] * 14 + ['words', 'number'] %}
{# Cells of a scan's row. What parts them cannot come from a value, in which < is escaped. #}
{% macro texts(card) -%}
{% set v = card.scan.values -%}
{{ who(card.scan.participant) }}<|>{{ value(v.session_id) }}<|>{{ card.scan.image }}<|>{{ badge(card.verdict) }}<|>{{ rated(card) }}<|>
{%- for item in card.outliers[:most_outliers] %}{{ item.measure.title }}{{ ', ' if not loop.last }}{% endfor %}{% if card.outliers|length > most_outliers %}, {{ card.outliers|length - most_outliers }} more{% endif %}<|>
{{- card.farthest|number if card.outliers else '' }}<|>
{%- for name in ('mi_before', 'mi_after', 'brain_overlap', 'uncertainty', 'rotation', 'translation') %}{{ v[name]|number }}<|>{% endfor %}
{{ (card.scan.fused|map(attribute='values')|map(attribute='template_gm_dice')|reject('none')|list + [none])[0]|number }}<|>
{%- for name in ('t1w_cnr', 'brain_volume', 'gm_wm_ratio', 'suvr_gm', 'pet_noise') %}{{ v[name]|number(4 if name == 'brain_volume' else 3) }}<|>{% endfor %}
{{ card.scan.judged|length }}<|>{{ value(v.pairing_reason) }}<|>{{ v.day_gap|number }}
{%- endmacro %}
{% macro inside(card) -%}
<h3>{{ who(card.scan.participant) }}{{ session(card.scan) }} {{ card.scan.image }} {{ badge(card.verdict) }}</h3>
{{ thumbnail(card) }}
{%- if card.rating %}
<p class="given">{{ rated(card) }}</p>
{%- endif %}
{%- endmacro %}
{% macro label(card) -%}{{ card.scan.participant }}{{ session(card.scan) }} {{ card.scan.image }}{%- endmacro %}
{% macro participant(item) -%}
<td>{{ who(item.name) }}</td><td>{{ item.anatomies or '–' }}</td>{% for name in modalities %}<td>{{ item.scans|selectattr('values.modality', 'equalto', name)|list|length or '–' }}</td>{% endfor %}<td>{{ item.scans|map(attribute='fused')|map('length')|sum or '–' }}</td>{% for fact in facts.get(item.name, []) %}<td>{{ fact }}</td>{% else %}{% for name in fact_columns %}<td>–</td>{% endfor %}{% endfor %}
{%- endmacro %}
<header class="top"><strong>Group report · fusionprep</strong>
<nav aria-label="Sections"><a href="#first">Look at these first</a> &nbsp; <a href="#scans">Scans</a> &nbsp; <a href="#sheet">Contact sheet</a> &nbsp; <a href="#distributions">Distributions</a> &nbsp; <a href="#cohort">Cohort images</a> &nbsp; <a href="#models">Models</a> &nbsp; <a href="#complete">Completeness</a> &nbsp; <a href="#columns">Columns</a></nav>
</header>
<main>
<h1>Group report</h1>
<p>{{ findings.participants|length }} participant{{ '' if findings.participants|length == 1 else 's' }}, {{ cards|length }} scan{{ '' if cards|length == 1 else 's' }}, {{ n_rows }} fused image{{ '' if n_rows == 1 else 's' }}.
Scans by verdict: {{ badge('fail') }} {{ counts['fail'] }} &nbsp; {{ badge('review') }} {{ counts['review'] }} &nbsp; {{ badge('pass') }} {{ counts['pass'] }}{% if counts['n/a'] %} &nbsp; {{ badge('n/a') }} {{ counts['n/a'] }}{% endif %}.
{% if incomplete %}<a href="#complete">{{ incomplete|length }} incomplete</a>.{% endif %}
{% if findings.excluded %}{{ findings.excluded|length }} excluded by rating.{% endif %}</p>
{% for line in warnings %}
<p class="alert">{{ line }}</p>
{% endfor %}
{% if script %}
<noscript><p class="note">Scripts are off in this browser: the table cannot be sorted, and scans cannot be rated.{% if sheet|length > shown %} The first {{ shown }} scans are here; all are in group_fusion.tsv.{% endif %}</p></noscript>
{% else %}
<p class="note" id="static">The scripts of this page were not built with this installation: the table cannot be sorted, and scans cannot be rated.</p>
{% endif %}
<p class="note">The table of all fused images is <a href="group_fusion.tsv">group_fusion.tsv</a>, its columns are described in <a href="group_fusion.json">group_fusion.json</a>.</p>
<section id="first">
<h2>Look at these first</h2>
{% if first %}
<p class="note">Failed registrations, then the scans farthest from the others. z is the distance from the median in robust standard deviations (1.4826 times the median absolute deviation), among scans of the same modality and tracer; beyond 3 a value is called an outlier. Scans that a person passed or failed are not listed.</p>
<ol class="first">
{% for card in first %}
<li class="card {{ card.verdict if card.verdict in ratings else 'none' }}">
<h3>{{ who(card.scan.participant) }}{{ session(card.scan) }} {{ card.scan.image }} {{ badge(card.verdict) }}</h3>
{{ thumbnail(card) }}
{% if card.verdict != 'pass' and card.scan.reason %}
<p class="given">{{ card.scan.reason }}</p>
{% endif %}
<ul>
{% for item in card.outliers[:most_outliers] %}
<li>{{ outlier(item) }}</li>
{% endfor %}
</ul>
{% if card.outliers|length > most_outliers %}
<p class="given">and {{ card.outliers|length - most_outliers }} more</p>
{% endif %}
<p class="given"><a href="#scan-{{ card.index }}">{{ 'Rate it in' if script else 'See' }} the contact sheet</a></p>
</li>
{% endfor %}
</ol>
{% if n_first > first|length %}
<p class="note">{{ n_first - first|length }} more have a doubtful verdict or an outlier: see the <a href="#scans">table</a>.</p>
{% endif %}
{% else %}
<p class="fine">Nothing: no failed or doubtful registration, and no outlier{% if cards|length < 10 %} (fewer than 10 scans: outliers are not looked for){% endif %}.</p>
{% endif %}
</section>
<section id="scans">
<h2>Scans</h2>
{% if cards %}
<div class="tools" id="scan-tools" hidden><label>Verdict <select id="scan-verdict"><option value="">all</option><option value="fail">fail</option><option value="please review">please review</option><option value="pass">pass</option><option value="not scored">not scored</option></select></label>
<label><input type="checkbox" id="scan-outliers"> with outliers only</label></div>
<div class="wide" tabindex="0" role="region" aria-label="Scans">
<table class="grid" id="scan-table">
<thead><tr><th>Participant</th><th>Session</th><th>Image</th><th>Verdict</th><th>Rating</th><th>Outliers</th><th>Largest z</th><th>MI before</th><th>MI after</th><th>Brain overlap</th><th>Uncertainty, mm</th><th>Turn, °</th><th>Shift, mm</th><th>Dice GM</th><th>CNR of T1w</th><th>Brain, mL</th><th>GM : WM</th><th>SUVR of GM</th><th>Noise</th><th>Models</th><th>T1w chosen by</th><th>Days</th></tr></thead>
<tbody>
{% for card in sheet[:shown] %}
<tr class="{{ flag(card) }}" data-index="{{ card.index }}">
{% set at = loop.index %}
{% for text in texts(card).split('<|>') %}
<td{% if classes[loop.index0] %} class="{{ classes[loop.index0] }}"{% endif %}{% if loop.index0 == at_verdict %} data-order="{{ at }}"{% elif loop.index0 == at_outliers %} data-order="{{ card.outliers|length }}"{% endif %}>{{ text }}</td>
{% endfor %}
</tr>
{% endfor %}
</tbody>
</table>
</div>
{% else %}
<p class="missing">No scan was found in T1w space.</p>
{% endif %}
</section>
<section id="sheet">
<h2>Contact sheet</h2>
<p class="note">The mid slices of each fused image with the outline of the T1w's brain, the worst verdict first.</p>
<div class="tools" id="sheet-tools" hidden data-columns="{{ identity }}">
{% if titles|length > 1 %}
<label>Model <select id="sheet-model">{% for title in titles %}<option value="{{ loop.index0 }}">{{ title }}</option>{% endfor %}</select></label>
{% endif %}
<label>Show <select id="sheet-show"><option value="">all</option><option value="fail">verdict fail</option><option value="review">verdict please review</option><option value="pass">verdict pass</option><option value="n/a">not scored</option><option value="unrated">not rated yet</option><option value="rated">rated</option></select></label>
<label>Find <input type="search" id="sheet-find"></label>
<span id="rated-count" role="status"></span>
<button type="button" class="main" id="download">Download ratings.tsv</button>
<button type="button" id="forget">Forget ratings made in this browser</button>
</div>
<p class="note" id="rating-help" hidden>Ratings stay in this browser until they are downloaded. Give the file to <code>fusionapp BIDS OUT group --ratings ratings.tsv</code>: scans rated fail are then left out of distributions, cohort images and the comparison of models.</p>
<ol class="sheet">
{% for card in sheet[:shown] %}
<li class="card {{ card.verdict if card.verdict in ratings else 'none' }}" id="scan-{{ card.index }}" data-verdict="{{ card.verdict }}" data-scan="{{ card.identity }}" data-label="{{ label(card) }}"{% if card.models %} data-models="{{ card.models }}"{% endif %}{% if card.rating %} data-rating="{{ card.rating.rating or '' }}" data-note="{{ card.rating.note }}"{% endif %}>
{{ inside(card) }}
</li>
{% endfor %}
</ol>
<div class="tools" id="sheet-pages" hidden><button type="button" id="sheet-back">Previous</button><span id="sheet-range" role="status"></span><button type="button" id="sheet-on">Next</button></div>
</section>
<section id="distributions">
<h2>Distributions</h2>
<p class="note">Box from the first to the third quartile with the median, whiskers to the last values within 1.5 interquartile ranges, a point for each value. Outliers are red and lead to the report of the participant; names stand at the farthest on either side.{% if findings.excluded %} Scans rated fail are not in it.{% endif %}</p>
{% for section, plots in sections %}
{% if section == 'Fusion metrics' %}<details{% if titles|length <= 4 %} open{% endif %}><summary><strong>{{ section }}</strong>, by model</summary>{% else %}<h3>{{ section }}</h3>{% endif %}

<div class="plots">
{% for title, plot in plots %}
<figure><figcaption>{{ title }}</figcaption>{{ plot }}</figure>
{% endfor %}
</div>
{% if section == 'Fusion metrics' %}</details>{% endif %}

{% else %}
<p class="missing">No values were recorded.</p>
{% endfor %}
</section>
<section id="cohort">
<h2>Cohort images</h2>
{% if findings.cohort %}
<p class="note">Mean and standard deviation of the fused images in template space, 0 to 1, over fixed planes; of images in colour the deviation is that of their brightness. {% if findings.unused %}{{ findings.unused|length }} scan{{ '' if findings.unused|length == 1 else 's' }} left out: rated fail, or with verdict fail and not rated pass.{% endif %}</p>
{% for image in cohort %}
<details{% if loop.first %} open{% endif %}><summary><strong>{{ image.kind }}, {{ image.title }}</strong>, {{ image.space }}: {{ image.n }} scan{{ '' if image.n == 1 else 's' }}{% if image.odd %}, {{ image.odd }} more of another size, gray beside colour, or unreadable{% endif %}</summary>
<div class="cohort{% if image.size[0] > 4 * image.size[1] %} strip{% endif %}">
<figure><figcaption>Mean of {{ image.n }}</figcaption><img src="{{ image.mean|urlencode }}" width="{{ image.size[0] }}" height="{{ image.size[1] }}" loading="lazy" alt="Mean of {{ image.n }} {{ image.kind }} fused by {{ image.title }} in {{ image.space }}">
{% if not image.colour %}<div class="scale">0<i style="background:linear-gradient(to right,#000,#fff)"></i>1</div>{% endif %}</figure>
{% if image.sd %}
<figure><figcaption>Standard deviation</figcaption><img src="{{ image.sd|urlencode }}" width="{{ image.size[0] }}" height="{{ image.size[1] }}" loading="lazy" alt="Standard deviation of {{ image.n }} {{ image.kind }} fused by {{ image.title }} in {{ image.space }}">
<div class="scale">0<i style="background:{{ colour_scale }}"></i>{{ image.largest_sd|number(2) }}</div></figure>
{% endif %}
</div></details>
{% endfor %}
{% else %}
<p class="missing">There are no figures in template space that the mean could be taken of.</p>
{% endif %}
</section>
<section id="models">
<h2>Fusion models</h2>
{% for comparison in findings.comparisons %}
<h3>{{ comparison.modality }}</h3>
<p class="note">Median [first, third quartile] over scans; ↑ higher is better, ↓ lower is better, no arrow: not for ranking; the best median is bold. {% if comparison.ranked %}The mean rank is over {{ comparison.ranked|join(', ') }} and the {{ comparison.n_common }} scan{{ '' if comparison.n_common == 1 else 's' }} with all models; 1 is the best. {% endif %}It does not replace a person's eye.{% if findings.unused %} The scans left out are those left out of the cohort images.{% endif %}</p>
<div class="wide" tabindex="0" role="region" aria-label="Fusion models of {{ comparison.modality }}">
<table class="grid">
<thead><tr><th>Model</th><th>Scans</th><th>Mean rank</th>{% for name, better in comparison.metrics.items() %}<th>{{ name }} {{ {'higher': '↑', 'lower': '↓'}.get(better, '') }}</th>{% endfor %}<th>Run time, s</th></tr></thead>
<tbody>
{% for row in comparison.rows %}
<tr><th scope="row">{{ row.title }}</th><td class="number">{{ row.n }}</td><td class="number">{{ row.mean_rank|number(3, padded=true) }}</td>{% for name in comparison.metrics %}<td class="number">{{ cells(row.spreads.get(name)) }}</td>{% endfor %}<td class="number">{{ cells(row.run_time) }}</td></tr>
{% endfor %}
</tbody>
</table>
</div>
{% else %}
<p class="missing">Fusion metrics and run times were not recorded.</p>
{% endfor %}
</section>
<section id="complete">
<h2>Completeness</h2>
<table class="facts">
{% for name, count in groups %}
<tr><th scope="row">{{ name }}</th><td>{{ count }} participant{{ '' if count == 1 else 's' }}</td></tr>
{% endfor %}
</table>
<h3 id="incomplete">Incomplete participants</h3>
{% if incomplete %}
<p class="note">Also in <a href="group_incomplete.tsv">group_incomplete.tsv</a>.</p>
<table class="grid">
<thead><tr><th>Participant</th><th>What went wrong or is missing</th></tr></thead>
<tbody>
{% for item in incomplete %}
<tr class="flag-fail"><td>{{ who(item.name) }}</td><td>{{ item.missing }}</td></tr>
{% endfor %}
</tbody>
</table>
{% else %}
<p class="fine">None: every participant has a fused image, and nothing failed.</p>
{% endif %}
<details><summary>All participants</summary>
<div class="wide" tabindex="0" role="region" aria-label="All participants">
<table class="grid" id="participants">
<thead><tr><th>Participant</th><th>T1w</th>{% for name in modalities %}<th>{{ name }}</th>{% endfor %}<th>Fused images</th>{% for name in fact_columns %}<th>{{ name }}</th>{% endfor %}</tr></thead>
<tbody>
{% for item in findings.participants[:shown] %}
<tr>{{ participant(item) }}</tr>
{% endfor %}
</tbody>
</table>
</div>
</details>
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
{% if sheet|length > shown or findings.participants|length > shown %}
<script type="application/json" id="more">{"rows":[
{%- for card in sheet[shown:] %}{{ [flag(card), card.index, shown + loop.index, card.outliers|length, texts(card).split('<|>')]|embedded }}{{ ',' if not loop.last }}{% endfor %}],"cards":[
{%- for card in sheet[shown:] %}{{ [card.index, card.verdict, card.identity, label(card), card.models, (card.rating.rating or '') if card.rating else none, card.rating.note if card.rating else none, inside(card)]|embedded }}{{ ',' if not loop.last }}{% endfor %}],"participants":[
{%- for item in findings.participants[shown:] %}{{ participant(item)|embedded }}{{ ',' if not loop.last }}{% endfor %}]}</script>
{% endif %}
{% if script %}<script>{{ script }}</script>
{% endif %}
</body>
</html>
