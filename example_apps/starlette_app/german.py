"""What the pages and the button say in German. A text that is left out is English."""

from __future__ import annotations

NOTHING_LOST = "Nichts wurde geändert, und nichts ist verloren."

GERMAN = {
    "continue": "Weiter mit Configure",
    "reconnect": "Erneut mit Configure verbinden",
    "disconnect": "Von Configure trennen",
    "retry": "Noch einmal versuchen",
    "replace": "Stattdessen das neue Profil verbinden",
    "back": "Zurück",
    "sign_in": "Anmelden",
    "support": "Für den Support:",
    "one_more_step": "Noch ein Schritt: Lass diese App zu.",
    "element_failed": "Das hat nicht geklappt. Bitte versuche es noch einmal.",
    "confirm_aside": "Wenn du das nicht wolltest, schließe diese Seite. Es ist noch nichts geschehen.",
    "confirm_link.heading": "Dein Konto mit Configure verbinden?",
    "confirm_link.sentence": "Du bist nicht über einen Knopf dieser Website gekommen, darum fragen wir zuerst. Wenn "
    "du weitermachst, wählst du bei Configure, was diese Website wissen darf. Danach kommst du zurück, und dein Konto "
    "hier ist mit deinem Profil bei Configure verbunden.",
    "confirm_login.heading": "Mit Configure anmelden?",
    "confirm_login.sentence": "Du bist nicht über einen Knopf dieser Website gekommen, darum fragen wir zuerst. "
    "Wenn du weitermachst, meldest du dich bei Configure mit deiner Telefonnummer an. Danach kommst du zurück und "
    "bist hier angemeldet.",
    "frame_link.heading": "Dein Konto mit Configure verbinden",
    "frame_link.sentence": "Das geht im ganzen Fenster weiter. Danach kommst du auf diese Website zurück.",
    "frame_login.heading": "Mit Configure anmelden",
    "frame_login.sentence": "Das geht im ganzen Fenster weiter. Danach kommst du auf diese Website zurück.",
    "reload.heading": "Einen Moment",
    "reload.sentence": "Du bist von Configure zurück, wir sind gleich fertig. Bleibt diese Seite stehen, lade sie neu.",
    "wait.heading": "Einen Moment",
    "wait.sentence": "Wir sind gleich fertig. Diese Seite geht von selbst weiter; bleibt sie stehen, lade sie neu.",
    "popup.heading": "Du kannst dieses Fenster schließen",
    "popup.sentence": "Es geht auf der Seite weiter, die es geöffnet hat.",
    "cancelled.heading": "Du hast vor dem Ende aufgehört",
    "cancelled.sentence": "Das ist in Ordnung: Nichts wurde geändert und nichts geteilt.",
    "cancelled.way_on": "Versuche es wieder, wann du magst, oder geh dorthin zurück, wo du warst.",
    "expired.heading": "Diese Anmeldung ist nicht mehr offen",
    "expired.sentence": "Zu deiner Sicherheit muss sie in 15 Minuten beendet sein, und wer mehr als zehn zugleich "
    f"beginnt, beendet damit die älteste. {NOTHING_LOST}",
    "expired.way_on": "Bitte beginne noch einmal.",
    "already_used.heading": "Dieser Link wurde schon benutzt",
    "already_used.sentence": f"Er gilt nur einmal und wurde schon geöffnet. {NOTHING_LOST}",
    "already_used.way_on": "Geh zurück und sieh nach, ob du schon angemeldet bist. Wenn nicht, beginne noch einmal.",
    "interrupted.heading": "Diese Anmeldung wurde unterbrochen",
    "interrupted.sentence": "Etwas auf dieser Website hat aufgehört, bevor sie fertig war. Nichts ist verloren.",
    "interrupted.way_on": "Bitte beginne noch einmal. Zweimal schadet nicht.",
    "cookie_missing.heading": "Dein Browser hat diese Anmeldung vergessen",
    "cookie_missing.sentence": "Während du bei Configure warst, ging das Cookie verloren, an dem diese Website dich "
    "erkennt, oder du hast in einer anderen App oder einem anderen Browser begonnen, etwa auf dem Home-Bildschirm. "
    f"{NOTHING_LOST}",
    "cookie_missing.way_on": "Erlaube dieser Website Cookies und beginne im selben Fenster noch einmal. Auch ein "
    "privates Fenster kann der Grund sein.",
    "wrong_browser.heading": "Diese Anmeldung begann in einem anderen Browser",
    "wrong_browser.sentence": "Zu deiner Sicherheit muss sie im selben Browser und auf demselben Gerät enden, wo sie "
    f"begann. {NOTHING_LOST}",
    "wrong_browser.way_on": "Geh zu jenem Browser zurück, oder beginne in diesem noch einmal.",
    "wrong_user.heading": "Du bist jetzt mit einem anderen Konto angemeldet",
    "wrong_user.sentence": "Das begann mit einem anderen Konto auf dieser Website, darum haben wir angehalten. Keines "
    "der beiden Konten wurde geändert.",
    "wrong_user.way_on": "Melde dich mit dem Konto an, das du verbinden willst, und beginne noch einmal.",
    "already_signed_in.heading": "Du bist schon angemeldet",
    "already_signed_in.sentence": "Während du bei Configure warst, hast du oder jemand anders sich hier in einem "
    f"anderen Tab angemeldet, und dabei blieb es. {NOTHING_LOST}",
    "already_signed_in.way_on": "Geh zurück und sieh nach, wer angemeldet ist. Um zu wechseln, melde dich erst ab.",
    "signed_out.heading": "Du bist hier abgemeldet",
    "signed_out.sentence": f"Dafür musst du auf dieser Website angemeldet sein. {NOTHING_LOST}",
    "signed_out.way_on": "Melde dich an und beginne noch einmal.",
    "wrong_host.heading": "Diese Website hat eine andere Adresse",
    "wrong_host.sentence": f"Unter dieser Adresse kann es nicht zu Ende gehen. {NOTHING_LOST}",
    "wrong_host.way_on": "Geh zur üblichen Adresse der Website und beginne dort noch einmal.",
    "cross_site.heading": "Das kam nicht von dieser Website",
    "cross_site.sentence": "Es sieht so aus, als habe eine andere Website in deinem Namen darum gebeten. Darum haben "
    f"wir angehalten. {NOTHING_LOST}",
    "cross_site.way_on": "Wenn du das wolltest, geh zurück und tu es von dieser Website aus.",
    "invalid_request.heading": "Diese Adresse lässt sich so nicht öffnen",
    "invalid_request.sentence": "Ein Teil fehlt oder ist falsch, oder sie gehört zu einem Knopf dieser Website. "
    f"{NOTHING_LOST}",
    "invalid_request.way_on": "Geh zurück und beginne mit dem Knopf noch einmal.",
    "not_approved.heading": "Du hast bei Configure nicht zugestimmt",
    "not_approved.sentence": "Du wurdest erkannt, aber nichts wurde für diese Website freigegeben. Nichts wurde "
    "geteilt und nichts geändert.",
    "not_approved.way_on": "Wenn du weitermachen willst, beginne noch einmal und stimme zu, wenn Configure fragt.",
    "not_an_agent_token.heading": "Diese Website kann damit nichts anfangen",
    "not_an_agent_token.sentence": "Configure hat etwas geschickt, woran diese Website dich nicht erkennt. Das liegt "
    "nicht an dir; nichts ist verloren.",
    "not_an_agent_token.way_on": "Bitte beginne noch einmal. Geschieht es wieder, sag es den Betreibern der Website.",
    "account_taken.heading": "Dieses Profil ist schon verbunden",
    "account_taken.sentence": "Dein Profil bei Configure gehört zu einem anderen Konto auf dieser Website. Beide "
    "Konten sind, wie sie waren.",
    "account_taken.way_on": "Melde dich mit dem anderen Konto an, oder trenne das Profil zuerst dort.",
    "already_connected.heading": "Dieses Konto ist schon verbunden",
    "already_connected.sentence": "Es hat ein anderes Profil bei Configure, und das haben wir gelassen. Nichts ist "
    "verloren.",
    "already_connected.way_on": "Behalte das jetzige, oder verbinde stattdessen das neue.",
    "last_sign_in.heading": "Du kannst dich nur so anmelden",
    "last_sign_in.sentence": "Ohne Configure könntest du dich mit diesem Konto nicht mehr anmelden. Darum ist es "
    "verbunden geblieben. Nichts wurde geändert.",
    "last_sign_in.way_on": "Füge zuerst einen anderen Weg hinzu, dich anzumelden, und trenne dann.",
    "not_fresh.heading": "Bestätige, dass du es bist",
    "not_fresh.sentence": "Du hast dich vor einiger Zeit angemeldet, und das hier geht nur kurz danach. Nichts wurde "
    "geändert.",
    "not_fresh.way_on": "Melde dich hier noch einmal an und beginne dann von vorn.",
    "login_refused.heading": "Du kannst dich hier nicht anmelden",
    "login_refused.sentence": "Diese Website hat dich nicht hereingelassen. Dein Profil bei Configure ist, wie es war.",
    "login_refused.way_on": "Wenn du das für einen Irrtum hältst, sag es den Betreibern der Website.",
    "upstream_rejected.heading": "Configure hat das nicht angenommen",
    "upstream_rejected.sentence": "Configure hat geantwortet, aber es konnte nicht zu Ende gehen. Nichts wurde hier "
    "geändert, und nichts ist verloren.",
    "upstream_rejected.way_on": "Bitte beginne noch einmal. Geschieht es wieder, sag es den Betreibern der Website.",
    "upstream_unavailable.heading": "Configure ist gerade nicht erreichbar",
    "upstream_unavailable.sentence": "Das liegt nicht an dir. Alles andere auf dieser Website geht wie gewohnt, und "
    "nichts ist verloren.",
    "upstream_unavailable.way_on": "Bitte versuche es in ein paar Minuten noch einmal.",
    "upstream_timeout.heading": "Configure hat zu lange gebraucht",
    "upstream_timeout.sentence": "Wir haben gewartet und dann aufgehört. Nichts ist verloren.",
    "upstream_timeout.way_on": "Bitte versuche es in einer Minute noch einmal.",
    "busy.heading": "Gerade sind viele hier",
    "busy.sentence": "Du bist von Configure zurück und gleich an der Reihe. Nichts ist verloren.",
    "busy.way_on": "Diese Seite geht von selbst weiter. Bleibt sie stehen, lade sie neu.",
    "store_busy.heading": "Diese Website hat gerade zu viel zu tun",
    "store_busy.sentence": "Sie konnte eben nicht speichern, was nötig war. Nichts ist halb getan oder verloren.",
    "store_busy.way_on": "Bitte versuche es gleich noch einmal.",
    "misconfigured.heading": "Hier ist etwas nicht richtig eingerichtet",
    "misconfigured.sentence": "Die Betreiber der Website müssen zuerst etwas ändern. Das liegt nicht an dir, und "
    "nichts ist verloren.",
    "misconfigured.way_on": "Bitte sag es ihnen. Ein neuer Versuch hilft bis dahin nicht.",
    "not_configured.heading": "Configure ist hier noch nicht verfügbar",
    "not_configured.sentence": "Die Betreiber sind mit der Einrichtung noch nicht fertig. Alles andere auf dieser "
    "Website geht wie gewohnt, und nichts ist verloren.",
    "not_configured.way_on": "Melde dich auf einem anderen Weg an, wenn es einen gibt, oder komm später wieder.",
}
