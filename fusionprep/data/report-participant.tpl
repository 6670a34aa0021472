<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>
{% include 'report.css' %}
</style>
</head>
<body>
<header class="top">
<strong>{{ title }}</strong>
<nav aria-label="Sections">
{% for section in sections %}
<a href="#{{ section.name|lower }}">{{ section.name }}</a>{% if not loop.last %} &nbsp; {% endif %}

{% endfor %}
</nav>
</header>
<main>
<h1>{{ title }}</h1>
{% for section in sections %}
<section id="{{ section.name|lower }}">
<h2>{{ section.name }}</h2>
{% for reportlet in section.reportlets %}
{% if reportlet.title %}
<h3 class="group">{{ reportlet.title }}</h3>
{% endif %}
{% if reportlet.subtitle %}
<h3>{{ reportlet.subtitle }}</h3>
{% endif %}
{% if reportlet.description %}
<p class="note">{{ reportlet.description }}</p>
{% endif %}
{% for content, caption in reportlet.components %}
{% if caption %}
<h4>{{ caption }}</h4>
{% endif %}
{{ content }}
{% endfor %}
{% endfor %}
</section>
{% endfor %}
</main>
</body>
</html>
