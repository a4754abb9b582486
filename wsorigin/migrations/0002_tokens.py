# Tokens, and orders to close the connections that something opened.

import django.db.models.deletion
import django.db.models.functions.datetime
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

import wsorigin.credentials
import wsorigin.models.denied
import wsorigin.models.token


class Migration(migrations.Migration):
    dependencies = [
        ("wsorigin", "0001_trusted_origins"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AlterField(
            model_name="deniedhandshake",
            name="reason",
            field=models.CharField(
                choices=wsorigin.models.denied.reason_choices,
                max_length=40,
                verbose_name="reason",
            ),
        ),
        migrations.CreateModel(
            name="ConnectionToken",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True,
                        primary_key=True,
                        serialize=False,
                        verbose_name="ID",
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            (wsorigin.credentials.TokenKind["SECRET"], "secret"),
                            (
                                wsorigin.credentials.TokenKind["PUBLISHABLE"],
                                "publishable",
                            ),
                            (wsorigin.credentials.TokenKind["TICKET"], "ticket"),
                        ],
                        max_length=12,
                        verbose_name="kind",
                    ),
                ),
                (
                    "public_id",
                    models.CharField(
                        max_length=8, unique=True, verbose_name="public id"
                    ),
                ),
                ("digest", models.CharField(editable=False, max_length=80)),
                (
                    "previous_digest",
                    models.CharField(blank=True, editable=False, max_length=80),
                ),
                (
                    "previous_expires_at",
                    models.DateTimeField(
                        blank=True,
                        editable=False,
                        null=True,
                        verbose_name="previous secret counts until",
                    ),
                ),
                (
                    "name",
                    models.CharField(
                        blank=True,
                        help_text="Who holds it, and what for.",
                        max_length=100,
                        verbose_name="name",
                    ),
                ),
                (
                    "origins",
                    models.TextField(
                        blank=True,
                        help_text="One a line, such as https://app.example.com; empty for any.",
                        max_length=30100,
                        validators=[wsorigin.models.token.validate_patterns],
                        verbose_name="origins",
                    ),
                ),
                (
                    "audience",
                    models.CharField(
                        blank=True,
                        help_text="Only endpoints with this audience; empty for all.",
                        max_length=100,
                        verbose_name="audience",
                    ),
                ),
                (
                    "sealed_session_key",
                    models.CharField(blank=True, editable=False, max_length=200),
                ),
                (
                    "created_at",
                    models.DateTimeField(
                        default=django.utils.timezone.now, verbose_name="created at"
                    ),
                ),
                (
                    "expires_at",
                    models.DateTimeField(
                        blank=True,
                        help_text="Empty: never.",
                        null=True,
                        verbose_name="expires at",
                    ),
                ),
                (
                    "used_at",
                    models.DateTimeField(
                        editable=False, null=True, verbose_name="used at"
                    ),
                ),
                (
                    "last_used_at",
                    models.DateTimeField(
                        editable=False, null=True, verbose_name="last used"
                    ),
                ),
                (
                    "previous_used_at",
                    models.DateTimeField(
                        editable=False,
                        null=True,
                        verbose_name="previous secret last used",
                    ),
                ),
                (
                    "revoked_at",
                    models.DateTimeField(
                        editable=False, null=True, verbose_name="revoked at"
                    ),
                ),
                (
                    "revoke_reason",
                    models.CharField(
                        blank=True,
                        editable=False,
                        max_length=200,
                        verbose_name="why it was revoked",
                    ),
                ),
                (
                    "created_by",
                    models.ForeignKey(
                        blank=True,
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="created by",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="owner",
                    ),
                ),
            ],
            options={
                "verbose_name": "token",
                "verbose_name_plural": "tokens",
                "ordering": ["-created_at", "-pk"],
                "permissions": [
                    ("mint_token", "Can mint tokens for oneself and publishable ones"),
                    (
                        "mint_token_for_others",
                        "Can mint tokens that act as another user",
                    ),
                    ("rotate_token", "Can rotate tokens"),
                    ("revoke_token", "Can revoke tokens"),
                    ("disconnect", "Can close live connections"),
                ],
                "default_permissions": ("view", "delete"),
            },
        ),
        migrations.CreateModel(
            name="Disconnection",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True,
                        primary_key=True,
                        serialize=False,
                        verbose_name="ID",
                    ),
                ),
                ("origin", models.CharField(blank=True, max_length=300)),
                (
                    "requested_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(),
                        db_index=True,
                    ),
                ),
                (
                    "token",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="wsorigin.connectiontoken",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "default_permissions": (),
            },
        ),
        migrations.AddIndex(
            model_name="connectiontoken",
            index=models.Index(
                fields=["user", "kind", "expires_at"], name="wsorigin_token_owner"
            ),
        ),
        migrations.AddIndex(
            model_name="connectiontoken",
            index=models.Index(fields=["expires_at"], name="wsorigin_token_expiry"),
        ),
        migrations.AddConstraint(
            model_name="connectiontoken",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("kind", wsorigin.credentials.TokenKind["PUBLISHABLE"]),
                        _negated=True,
                    ),
                    models.Q(("user", None), models.Q(("origins", ""), _negated=True)),
                    _connector="OR",
                ),
                name="wsorigin_publishable_names_no_person",
            ),
        ),
        migrations.AddConstraint(
            model_name="connectiontoken",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("kind", wsorigin.credentials.TokenKind["TICKET"]),
                        _negated=True,
                    ),
                    models.Q(("expires_at__isnull", False), ("user__isnull", False)),
                    _connector="OR",
                ),
                name="wsorigin_ticket_has_user_and_end",
            ),
        ),
        migrations.AddConstraint(
            model_name="disconnection",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("user__isnull", False),
                    ("token__isnull", False),
                    models.Q(("origin", ""), _negated=True),
                    _connector="OR",
                ),
                name="wsorigin_disconnection_of_something",
            ),
        ),
    ]
