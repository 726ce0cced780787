"""The word tables of the built-in corpus, English beside German, as text for `grammar_lexicon` to inflect.

No table lists a verb whose English past equals its present ("read", "cut"), nor a noun whose plural
equals its singular ("fish").
"""


def entries(table: str) -> list[tuple[str, str]]:
    """Split `English/German` words; a word without a slash is the same in both."""
    halves = (word.partition("/") for word in table.split())
    return [(english, german or english) for english, _, german in halves]


# class | English[|plural] article German plural; `der*` declines weakly; a place names its prepositions.
NOUNS = """
p: man|men der Mann Männer; woman|women die Frau Frauen; child|children das Kind Kinder; boy der* Junge Jungen
p: girl das Mädchen Mädchen; teacher der Lehrer Lehrer; doctor der Arzt Ärzte; student der* Student Studenten
p: neighbor der* Nachbar Nachbarn; friend der Freund Freunde; brother der Bruder Brüder; guest der Gast Gäste
p: sister die Schwester Schwestern; mother die Mutter Mütter; father der Vater Väter; aunt die Tante Tanten
p: uncle der Onkel Onkel; grandmother die Großmutter Großmütter; grandfather der Großvater Großväter
p: son der Sohn Söhne; daughter die Tochter Töchter; nurse die Krankenschwester Krankenschwestern; chef der Koch Köche
p: lawyer der Anwalt Anwälte; waitress die Kellnerin Kellnerinnen; baby das Baby Babys; painter der Maler Maler
p: customer der* Kunde Kunden; colleague der* Kollege Kollegen; tourist der* Tourist Touristen
p: engineer der Ingenieur Ingenieure; actress die Schauspielerin Schauspielerinnen; a: dog der Hund Hunde
a: cat die Katze Katzen; horse das Pferd Pferde; bird der Vogel Vögel; cow die Kuh Kühe; lion der* Löwe Löwen
a: bear der* Bär Bären; rabbit das Kaninchen Kaninchen; mouse|mice die Maus Mäuse; pig das Schwein Schweine
a: snake die Schlange Schlangen; duck die Ente Enten; elephant der* Elefant Elefanten; f: apple der Apfel Äpfel
f: cake der Kuchen Kuchen; egg das Ei Eier; tomato die Tomate Tomaten; roll das Brötchen Brötchen
f: banana die Banane Bananen; sausage die Wurst Würste; soup die Suppe Suppen; salad der Salat Salate
f: pear die Birne Birnen; cookie der Keks Kekse; pizza die Pizza Pizzas; steak das Steak Steaks
f: potato die Kartoffel Kartoffeln; d: coffee der Kaffee Kaffees; tea der Tee Tees; juice der Saft Säfte
d: beer das Bier Biere; lemonade die Limonade Limonaden; wine der Wein Weine; x: book das Buch Bücher
x: letter der Brief Briefe; newspaper die Zeitung Zeitungen; story die Geschichte Geschichten
x: article der Artikel Artikel; report der Bericht Berichte; poem das Gedicht Gedichte; novel der Roman Romane
x: message die Nachricht Nachrichten; recipe das Rezept Rezepte; postcard die Postkarte Postkarten
t: key der Schlüssel Schlüssel; bag die Tasche Taschen; clock die Uhr Uhren; camera die Kamera Kameras
t: ball der Ball Bälle; lamp die Lampe Lampen; knife|knives das Messer Messer; plate der Teller Teller
t: cup die Tasse Tassen; phone das Telefon Telefone; computer der Computer Computer; picture das Bild Bilder
t: umbrella der Regenschirm Regenschirme; flower die Blume Blumen; guitar die Gitarre Gitarren
t: gift das Geschenk Geschenke; pen der Stift Stifte; ticket die Fahrkarte Fahrkarten; mirror der Spiegel Spiegel
t: blanket die Decke Decken; ring der Ring Ringe; u: table der Tisch Tische; chair der Stuhl Stühle
u: bed das Bett Betten; sofa das Sofa Sofas; cupboard der Schrank Schränke; shelf|shelves das Regal Regale
c: coat der Mantel Mäntel; shirt das Hemd Hemden; hat der Hut Hüte; dress das Kleid Kleider; jacket die Jacke Jacken
c: shoe der Schuh Schuhe; skirt der Rock Röcke; scarf|scarves der Schal Schals; sweater der Pullover Pullover
v: car das Auto Autos; bus der Bus Busse; train der Zug Züge; truck der Lastwagen Lastwagen; ship das Schiff Schiffe
v: tram die Straßenbahn Straßenbahnen; o: door die Tür Türen; window das Fenster Fenster; gate das Tor Tore
o: box die Kiste Kisten; suitcase der Koffer Koffer; bottle die Flasche Flaschen; l in:in: park der Park Parks
l in:in: garden der Garten Gärten; school die Schule Schulen; church die Kirche Kirchen; city die Stadt Städte
l in:in: village das Dorf Dörfer; hotel das Hotel Hotels; restaurant das Restaurant Restaurants
l in:in: museum das Museum Museen; theater das Theater Theater; cinema das Kino Kinos
l in:in: hospital das Krankenhaus Krankenhäuser; library die Bibliothek Bibliotheken; office das Büro Büros
l in:in: kitchen die Küche Küchen; forest der Wald Wälder; factory die Fabrik Fabriken; house das Haus Häuser
l in:in: castle das Schloss Schlösser; shop der Laden Läden; l at:an: station der Bahnhof Bahnhöfe
l at:an: beach der Strand Strände; lake der See Seen; river der Fluss Flüsse; airport der Flughafen Flughäfen
l at:an: university die Universität Universitäten; l at:auf: market der Markt Märkte
l on:auf: bridge die Brücke Brücken; island die Insel Inseln; e: party die Party Partys
e: wedding die Hochzeit Hochzeiten; trip die Reise Reisen; exam die Prüfung Prüfungen; concert das Konzert Konzerte
e: game das Spiel Spiele; meeting die Besprechung Besprechungen; lecture der Vortrag Vorträge
e: excursion der Ausflug Ausflüge; competition der Wettbewerb Wettbewerbe
"""

# noun classes: English German[/attributive stem]
ADJECTIVES = """
atuvlo: big groß; patuvlof: small klein; patuxlco: old alt; pa: young jung; tuxlcveo: new neu; patulce: beautiful schön
pxdfe: good gut; xdfe: bad schlecht; tufcdvex: expensive teuer/teur; tufcdve: cheap billig; tucvof: red rot
tucvo: blue blau; tucvofa: green grün; tucvoa: white weiß; black schwarz; tucvof: yellow gelb; tucvoa: brown braun
tucvoa: gray grau; xce: long lang; short kurz; tuo: heavy schwer; patxle: strange seltsam
pxle: interesting interessant; xle: boring langweilig; pxl: famous berühmt; pa: friendly freundlich; p: nice nett
p: happy glücklich; px: sad traurig; pa: tired müde/müd; p: angry wütend; pa: clever klug; lazy faul; hungry hungrig
pa: thirsty durstig; sick krank; p: rich reich; poor arm; pa: strong stark; pale: loud laut; pl: quiet ruhig
alev: dangerous gefährlich; pxe: important wichtig; tcvlauo: dirty schmutzig; tuvo: broken kaputt; f: fresh frisch
fd: delicious lecker; hot heiß; fdl: cold kalt; fd: sweet süß; cd: warm warm; lobv: empty leer; tuvl: modern modern
l: dark dunkel/dunkl; xe: difficult schwierig; easy einfach; tux: useful nützlich; p: polite höflich; pa: brave mutig
xlef: wonderful wunderbar; xle: terrible schrecklich; p: honest ehrlich; nervous nervös; proud stolz
pa: curious neugierig
"""

# English[/past[/participle]] = infinitive er-form participle, with
#   prefix|infinitive  separable      sich_infinitive  reflexive      +participle  perfect with sein
#   auf:a, von:d       preposition and case     =form  simple past instead of the perfect
#   ich,du             irregular forms of these persons
VERBS = """
acc patcvul: see/saw/seen = sehen sieht gesehen; acc pl: visit = besuchen besucht besucht
acc p: meet/met = treffen trifft getroffen; invite = ein|laden lädt eingeladen
acc plx: know/knew/known = kennen kennt gekannt; acc pal: love = lieben liebt geliebt
acc pae: hear/heard = hören hört gehört; acc p: call = an|rufen ruft angerufen; marry = heiraten heiratet geheiratet
acc p: pick up = ab|holen holt abgeholt; acc px: understand/understood = verstehen versteht verstanden
acc tucvxfd: buy/bought = kaufen kauft gekauft; acc tucvx: sell/sold = verkaufen verkauft verkauft
acc tcxa: find/found = finden findet gefunden; lose/lost = verlieren verliert verloren
acc tuxcva: have/had = haben hat gehabt habe,hast =hatte; acc cva: wash = waschen wäscht gewaschen
acc tuvo: repair = reparieren repariert repariert; acc x: write/wrote/written = schreiben schreibt geschrieben
acc x: translate = übersetzen übersetzt übersetzt; acc f: eat/ate/eaten = essen isst gegessen
acc d: drink/drank/drunk = trinken trinkt getrunken; acc fe: prepare = vor|bereiten bereitet vorbereitet
acc fdx: order = bestellen bestellt bestellt; acc o: open = öffnen öffnet geöffnet
acc o: close = schließen schließt geschlossen; acc tcx: forget/forgot/forgotten = vergessen vergisst vergessen
acc tcxu: need = brauchen braucht gebraucht; acc tcufx: choose/chose/chosen = aus|wählen wählt ausgewählt
acc c: wear/wore/worn = tragen trägt getragen; try on = an|probieren probiert anprobiert
acc c: take off/took/taken = aus|ziehen zieht ausgezogen; acc txc: hide/hid/hidden = verstecken versteckt versteckt
acc pal: paint = malen malt gemalt; acc tcxf: throw away/threw/thrown = weg|werfen wirft weggeworfen
acc l: leave/left = verlassen verlässt verlassen; acc e: organize = organisieren organisiert organisiert
acc e: cancel/canceled = ab|sagen sagt abgesagt; acc ve: miss = verpassen verpasst verpasst
acc plta: look at = an|sehen sieht angesehen; acc tpacx: look for = suchen sucht gesucht
acc pa: admire = bewundern bewundert bewundert; acc ple: describe = beschreiben beschreibt beschrieben
acc tcv: steal/stole/stolen = stehlen stiehlt gestohlen; acc fdc: pay for/paid = bezahlen bezahlt bezahlt
acc tv: use = benutzen benutzt benutzt; acc xe: finish = beenden beendet beendet
acc a: feed/fed = füttern füttert gefüttert; dat p: help = helfen hilft geholfen; thank = danken dankt gedankt
dat pav: follow = folgen folgt +gefolgt; dat p: trust = vertrauen vertraut vertraut
dat p: answer = antworten antwortet geantwortet; listen to = zu|hören hört zugehört
dat p: congratulate = gratulieren gratuliert gratuliert; forgive/forgave/forgiven = verzeihen verzeiht verziehen
prep pv: wait for = warten wartet gewartet auf:a; prep pale: think of/thought = denken denkt gedacht an:a
prep pxle: talk about = sprechen spricht gesprochen über:a; prep pale: dream of = träumen träumt geträumt von:d
prep e: look forward to = sich_freuen freut gefreut auf:a
prep pa: take care of/took/taken = sich_kümmern kümmert gekümmert um:a
prep pxle: remember = sich_erinnern erinnert erinnert an:a
prep pe: complain about = sich_beschweren beschwert beschwert über:a
prep px: laugh about = lachen lacht gelacht über:a; prep pat: look after = auf|passen passt aufgepasst auf:a
prep e: take part in/took/taken = teil|nehmen nimmt teilgenommen an:d
prep p: fall in love with/fell/fallen = sich_verlieben verliebt verliebt in:a
give txfc: give/gave/given = geben gibt gegeben; give txlc: show/showed/shown = zeigen zeigt gezeigt
give txc: send/sent = schicken schickt geschickt; lend/lent = leihen leiht geliehen
give txfd: bring/brought = bringen bringt gebracht; give fdt: offer = an|bieten bietet angeboten
move: go/went/gone = gehen geht +gegangen; drive/drove/driven = fahren fährt +gefahren
move: run/ran/run = laufen läuft +gelaufen; travel/traveled = reisen reist +gereist
move: fly/flew/flown = fliegen fliegt +geflogen; come/came/come = kommen kommt +gekommen
move: return = zurück|kehren kehrt +zurückgekehrt; hurry = eilen eilt +geeilt
act: sleep/slept = schlafen schläft geschlafen; work = arbeiten arbeitet gearbeitet; laugh = lachen lacht gelacht
act: dance = tanzen tanzt getanzt; sing/sang/sung = singen singt gesungen; cry = weinen weint geweint
act: swim/swam/swum = schwimmen schwimmt +geschwommen; get up/got/gotten = auf|stehen steht +aufgestanden
act: wait = warten wartet gewartet; play = spielen spielt gespielt; live = wohnen wohnt gewohnt
act: stay = bleiben bleibt +geblieben; fall asleep/fell/fallen = ein|schlafen schläft +eingeschlafen
act: wake up/woke/woken = auf|wachen wacht +aufgewacht; study = lernen lernt gelernt; smoke = rauchen raucht geraucht
act: cook = kochen kocht gekocht; relax = sich_entspannen entspannt entspannt; rest = sich_aus|ruhen ruht ausgeruht
act: sit down/sat = sich_hin|setzen setzt hingesetzt; go shopping/went/gone = ein|kaufen kauft eingekauft
act: watch television = fern|sehen sieht ferngesehen; have breakfast/had = frühstücken frühstückt gefrühstückt
ride: leave/left = ab|fahren fährt +abgefahren; arrive = an|kommen kommt +angekommen
ride: stop/stopped = halten hält gehalten halte,hältst; cost: cost/cost/cost = kosten kostet gekostet
that: know/knew/known = wissen weiß gewusst weiß,weißt =wusste; say/said = sagen sagt gesagt
that: think/thought = denken denkt gedacht; believe = glauben glaubt geglaubt; hope = hoffen hofft gehofft
that: hear/heard = hören hört gehört; notice = bemerken bemerkt bemerkt; whether: ask = fragen fragt gefragt
whether: wonder = sich_fragen fragt gefragt; find out/found = heraus|finden findet herausgefunden
to: try = versuchen versucht versucht; decide = beschließen beschließt beschlossen; hope = hoffen hofft gehofft
to: forget/forgot/forgotten = vergessen vergisst vergessen; begin/began/begun = beginnen beginnt begonnen
to: promise = versprechen verspricht versprochen; refuse = sich_weigern weigert geweigert
to: plan/planned = planen plant geplant
"""

# name: English (`do` marks do-support); I, you, he, plural in German
MODALS = """
can: can; kann kannst kann können
must: must; muss musst muss müssen
may: may; darf darfst darf dürfen
should: should; sollte solltest sollte sollten
would like to: would like to; möchte möchtest möchte möchten
want to: do want to; will willst will wollen
have to: do have to; muss musst muss müssen
could: could; konnte konntest konnte konnten
wanted to: did want to; wollte wolltest wollte wollten
had to: did have to; musste musstest musste mussten
"""

NAMES = [
    "Anna", "Peter", "Maria", "Paul", "Julia", "David", "Emma", "Martin",
    "Laura", "Simon", "Sarah", "Robert", "Lena", "Oliver", "Eva", "Daniel",
]  # fmt: skip
SURNAMES = ["Keller", "Weber", "Wagner", "Schneider", "Becker", "Miller", "Taylor", "Baker", "Fischer", "Koch"]
CITIES = entries("""Berlin Hamburg Munich/München Cologne/Köln Vienna/Wien Zurich/Zürich London Paris Rome/Rom
Prague/Prag Warsaw/Warschau Brussels/Brüssel Lisbon/Lissabon Athens/Athen Moscow/Moskau Nuremberg/Nürnberg Geneva/Genf
Venice/Venedig Milan/Mailand Germany/Deutschland France/Frankreich Italy/Italien Spain/Spanien Austria/Österreich
Poland/Polen Greece/Griechenland Sweden/Schweden Norway/Norwegen Hungary/Ungarn""")
NUMBERS = entries("""one/ein two/zwei three/drei four/vier five/fünf six/sechs seven/sieben eight/acht nine/neun
ten/zehn eleven/elf twelve/zwölf""")
DAYS = entries("""Monday/Montag Tuesday/Dienstag Wednesday/Mittwoch Thursday/Donnerstag Friday/Freitag Saturday/Samstag
Sunday/Sonntag""")
MONTHS = entries("""January/Januar February/Februar March/März April/April May/Mai June/Juni July/Juli August/August
September/September October/Oktober November/November December/Dezember""")
MANNERS = entries("""quickly/schnell slowly/langsam carefully/vorsichtig quietly/leise secretly/heimlich alone/allein
patiently/geduldig calmly/ruhig gladly/gern immediately/sofort""")
