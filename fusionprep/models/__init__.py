"""Fusion models and how they are run over volumes."""
